import { Page, Loading } from "../ui/parts";

export function Tokens() {
  return <Page title="Tokens"><Loading /></Page>;
}
