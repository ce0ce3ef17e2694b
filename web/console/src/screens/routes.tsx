import type { Route } from "../api";
import { milliseconds } from "../format";
import { useFeed } from "../live";
import { may, whyNot } from "../session";
import { Card, Empty, Loading, Page, State } from "../ui/parts";
import { Table, type Column } from "../ui/table";

const columns: Column<Route>[] = [
  { key: "peer", title: "To", value: (r) => r.peer },
  {
    key: "way", title: "Way", value: (r) => r.hops.join(" → "), show: (r) => (r.via
      ? <span class="hops">{r.hops.map((h, i) => <span key={h}>{i > 0 && <span aria-label="then"> → </span>}{h}</span>)}</span>
      : <State tone="bad">unreachable</State>),
  },
  { key: "hops", title: "Hops", value: (r) => r.hops.length, number: true, from: "medium", show: (r) => (r.via ? `${r.hops.length}` : <span class="none">–</span>) },
  { key: "metric_ms", title: "Metric", value: (r) => r.metric_ms, number: true, show: (r) => (r.via ? milliseconds(r.metric_ms) : <span class="none">–</span>) },
  { key: "mtu", title: "MTU", value: (r) => r.mtu, number: true, from: "medium", show: (r) => (r.mtu > 0 ? `${r.mtu}\u202fB` : <span class="none">–</span>) },
];

export function RoutesScreen() {
  const routes = useFeed("/routes");
  const name = useFeed("/status").data?.name ?? "this node";
  if (!routes.data) return <Page title="Routes"><Loading refused={routes.refused} /></Page>;
  return (
    <Page title="Routes" lead={`How frames leave ${name}: by the way with the smallest metric, the sum of its links' round trips and losses.`}>
      {routes.data.flux && <p class="notice"><State tone="warn">The topology changed a moment ago: floods take every link until it has settled.</State></p>}
      <Table
        label="routes" rows={routes.data.unicast} columns={columns} id={(r) => r.peer} sort="peer" file="drawbridge-routes"
        empty={<Empty icon="routes" title="There is nobody to reach">A route appears as soon as another peer is linked. {may("admin") ? <a href="/tokens?new=1">Invite a peer</a> : `${whyNot("admin")} to invite one.`}</Empty>}
      />
      {routes.data.broadcast.length > 0 && (
        <div class="below">
          <Card title="Floods">
            <p class="quiet-text">Where {name} passes on what everybody shall get, by the peer at which it began. Every peer gets it once.</p>
            <dl class="lines trees">
              {routes.data.broadcast.map((t) => (
                <div key={t.origin}><dt>from <b>{t.origin}</b></dt><dd>{t.children.length > 0 ? <>to {t.children.join(", ")}</> : <span class="quiet-text">to nobody: others have it</span>}</dd></div>
              ))}
            </dl>
          </Card>
        </div>
      )}
    </Page>
  );
}
