import { Page, Loading } from "../ui/parts";

export function RoutesScreen() {
  return <Page title="RoutesScreen"><Loading /></Page>;
}
