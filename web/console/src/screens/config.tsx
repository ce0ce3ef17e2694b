// The network configuration: the document in force, its versions, how they differ, and which peers go by them.
import type { ComponentChildren } from "preact";
import { usePlace } from "../route";
import { may } from "../session";
import { Empty, Page } from "../ui/parts";
import { AppliedBy } from "./config/applied";
import { Changes } from "./config/changes";
import { Editor } from "./config/editor";
import { Versions } from "./config/versions";

const parts: { path: string; title: string; show: () => ComponentChildren }[] = [
  { path: "/config", title: "Document", show: () => <Editor /> },
  { path: "/config/versions", title: "Versions", show: () => <Versions /> },
  { path: "/config/changes", title: "Differences", show: () => <Changes /> },
  { path: "/config/applied", title: "Applied by", show: () => <AppliedBy /> },
];

export function Config() {
  const { path } = usePlace();
  if (!may("operator")) {
    return <Page title="Configuration"><Empty icon="config" title="Viewers do not see the configuration">It takes the role operator to see it and admin to change it.</Empty></Page>;
  }
  const part = parts.find((p) => p.path === path) ?? parts[0]!;
  return (
    <Page title="Configuration" lead="What is true of all peers together. Every change is a version, and goes to every peer.">
      <nav class="tabs" aria-label="Parts of the configuration">
        {parts.map((p) => <a key={p.path} href={p.path} aria-current={p === part ? "page" : undefined}>{p.title}</a>)}
      </nav>
      {part.show()}
    </Page>
  );
}

