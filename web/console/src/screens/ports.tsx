import { Page, Loading } from "../ui/parts";

export function Ports() {
  return <Page title="Ports"><Loading /></Page>;
}
