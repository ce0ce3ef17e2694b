import { Page, Loading } from "../ui/parts";

export function Capture() {
  return <Page title="Capture"><Loading /></Page>;
}
