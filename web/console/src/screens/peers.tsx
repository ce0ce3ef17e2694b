import { Page, Loading } from "../ui/parts";

export function Peers() {
  return <Page title="Peers"><Loading /></Page>;
}
