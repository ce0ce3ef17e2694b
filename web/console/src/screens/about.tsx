import { Page, Loading } from "../ui/parts";

export function About() {
  return <Page title="About"><Loading /></Page>;
}
