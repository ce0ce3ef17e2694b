import { Page, Loading } from "../ui/parts";

export function MACs() {
  return <Page title="MACs"><Loading /></Page>;
}
