import { Page, Loading } from "../ui/parts";

export function Segments() {
  return <Page title="Segments"><Loading /></Page>;
}
