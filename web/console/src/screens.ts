// Every screen, in the order and the groups of the navigation. A new one is a line here.
import type { FunctionComponent } from "preact";
import type { IconName } from "./ui/icons";
import { About } from "./screens/about";
import { Alerts } from "./screens/alerts";
import { Account } from "./screens/account";
import { Addresses } from "./screens/addresses";
import { APITokens } from "./screens/apitokens";
import { Audit } from "./screens/audit";
import { Capture } from "./screens/capture";
import { CertificateScreen } from "./screens/certificate";
import { Config } from "./screens/config";
import { Home } from "./screens/home";
import { MACs } from "./screens/macs";
import { Peers } from "./screens/peers";
import { Ports } from "./screens/ports";
import { RoutesScreen } from "./screens/routes";
import { Segments } from "./screens/segments";
import { Sessions } from "./screens/sessions";
import { Timeline } from "./screens/timeline";
import { Tokens } from "./screens/tokens";
import { Update } from "./screens/update";
import { Users } from "./screens/users";

export interface Screen {
  path: string;
  title: string;
  icon: IconName;
  show: FunctionComponent;
}

export const groups: { title: string; screens: Screen[] }[] = [
  {
    title: "Overview",
    screens: [
      { path: "/", title: "Home", icon: "home", show: Home },
      { path: "/segments", title: "Segments", icon: "segment", show: Segments },
      { path: "/timeline", title: "Timeline", icon: "timeline", show: Timeline },
      { path: "/alerts", title: "Alerts", icon: "bell", show: Alerts },
    ],
  },
  {
    title: "Network",
    screens: [
      { path: "/peers", title: "Peers", icon: "peers", show: Peers },
      { path: "/macs", title: "MAC addresses", icon: "macs", show: MACs },
      { path: "/addresses", title: "Addresses", icon: "addresses", show: Addresses },
      { path: "/ports", title: "Ports", icon: "ports", show: Ports },
      { path: "/routes", title: "Routes", icon: "routes", show: RoutesScreen },
    ],
  },
  {
    title: "Administration",
    screens: [
      { path: "/config", title: "Configuration", icon: "config", show: Config },
      { path: "/update", title: "Update", icon: "update", show: Update },
      { path: "/users", title: "Users", icon: "users", show: Users },
      { path: "/account", title: "Account", icon: "account", show: Account },
      { path: "/sessions", title: "Sessions", icon: "system", show: Sessions },
      { path: "/access-tokens", title: "API tokens", icon: "key", show: APITokens },
      { path: "/certificate", title: "Certificate", icon: "certificate", show: CertificateScreen },
      { path: "/audit", title: "Audit log", icon: "audit", show: Audit },
    ],
  },
  {
    title: "Tools",
    screens: [
      { path: "/capture", title: "Capture", icon: "capture", show: Capture },
      { path: "/tokens", title: "Tokens", icon: "tokens", show: Tokens },
      { path: "/about", title: "About", icon: "about", show: About },
    ],
  },
];

export const screens = groups.flatMap((g) => g.screens);
