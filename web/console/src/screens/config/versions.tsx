import { useState } from "preact/hooks";
import { readText, said } from "../../api";
import type { ConfigVersion } from "../../api";
import { useFeed } from "../../live";
import { setQuery } from "../../route";
import { may, whyNot } from "../../session";
import { Icon } from "../../ui/icons";
import { Loading, save, State, Time, type Tone } from "../../ui/parts";
import { Table, type Column } from "../../ui/table";
import { toast } from "../../ui/toast";
import { NoVersion } from "./empty";
import { RollBack } from "./rollback";

const tones: Record<ConfigVersion["state"], Tone> = { current: "ok", waiting: "warn", reverted: "idle", superseded: "idle" };
const words: Record<ConfigVersion["state"], string> = { current: "in force", waiting: "waits to be confirmed", reverted: "reverted", superseded: "was in force" };

const columns: Column<ConfigVersion>[] = [
  { key: "version", title: "Version", value: (v) => v.version },
  { key: "state", title: "State", value: (v) => v.state, show: (v) => <State tone={tones[v.state]}>{words[v.state]}</State> },
  { key: "comment", title: "Comment", value: (v) => v.comment, grow: true, from: "medium", show: (v) => v.comment || (v.of ? `the same as version ${v.of}` : <span class="none">–</span>) },
  { key: "author", title: "By", value: (v) => v.author, from: "medium" },
  { key: "time", title: "When", value: (v) => v.time, order: (v) => Date.parse(v.time), show: (v) => <Time at={v.time} /> },
  { key: "of", title: "Same as", value: (v) => v.of, from: "never", show: (v) => (v.of ? `version ${v.of}` : <span class="none">–</span>) },
  { key: "settled_by", title: "Confirmed or reverted by", value: (v) => v.settled_by, from: "never" },
];

export function Versions() {
  const history = useFeed("/config/versions");
  const [back, setBack] = useState<number>();
  if (!history.data) return <Loading refused={history.refused} />;
  const { newest, gone, versions } = history.data;
  return (
    <>
      <Table
        label="versions" rows={versions} columns={columns} id={(v) => String(v.version)} name={(v) => `Version ${v.version}`} sort="-version" file="drawbridge-versions"
        empty={<NoVersion />}
        detail={() => !may("admin") && <p class="quiet-text">Exports and roll backs: {whyNot("admin")}.</p>}
        actions={(v) => (
          <>
            <a class="button" href={`/config/applied?version=${v.version}`}>Applied by</a>
            {v.parent > 0 && <a class="button" href={`/config/changes?from=${v.parent}&to=${v.version}`}>What it changed</a>}
            {v.version !== newest && <a class="button" href={`/config/changes?from=${v.version}&to=${newest}`}>Compare with now</a>}
            <Exports version={v.version} />
            {v.version !== newest && <button type="button" class="danger" disabled={!may("admin")} title={whyNot("admin")} onClick={() => setBack(v.version)}>Roll back…</button>}
          </>
        )}
      />
      {gone > 0 && <p class="fine">Versions up to {gone} are not kept any more.</p>}
      {back !== undefined && <RollBack to={back} newest={versions[0]!} onClose={() => setBack(undefined)} done={() => setQuery({ open: undefined })} />}
    </>
  );
}

/** Exports hands a version out as a file. */
export function Exports({ version }: { version: number }) {
  const out = async (form: "toml" | "json") => {
    try {
      save(`drawbridge-config-${version}.${form}`, `application/${form}`, [await readText("/config/export", { form, version })]);
    } catch (err) {
      toast(said(err), "bad");
    }
  };
  return (
    <>
      <button type="button" class="quiet" disabled={!may("admin")} title={whyNot("admin")} onClick={() => out("toml")}><Icon name="download" size={16} /> TOML</button>
      <button type="button" class="quiet" disabled={!may("admin")} title={whyNot("admin")} onClick={() => out("json")}><Icon name="download" size={16} /> JSON</button>
    </>
  );
}
