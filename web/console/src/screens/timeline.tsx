import { Page, Loading } from "../ui/parts";

export function Timeline() {
  return <Page title="Timeline"><Loading /></Page>;
}
