import { useState } from "preact/hooks";
import { change, read } from "../api";
import type { Certificate } from "../api";
import { useAnswer } from "../answer";
import { duration } from "../format";
import { now } from "../live";
import { may, whyNot } from "../session";
import { Confirm } from "../ui/dialog";
import { FormDialog, Gated } from "../ui/form";
import { Card, Copy, Fact, Facts, Loading, Page, State, Time } from "../ui/parts";
import { toast } from "../ui/toast";

const soon = 21 * 86400_000; // ms before the end from which on somebody should look at it

export function CertificateScreen() {
  const certificate = useAnswer(() => read("/certificate"), "certificate");
  const [dialog, setDialog] = useState<"renew" | "replace" | "acme">();
  if (!certificate.data) return <Page title="Certificate"><Loading refused={certificate.refused} /></Page>;
  const c = certificate.data, left = Date.parse(c.not_after) - now();
  const close = () => {
    setDialog(undefined);
    void certificate.again();
  };
  return (
    <Page title="Certificate" lead="By it browsers and programs know this peer. Other peers have their own.">
      <Card title={c.names[0] ?? "This peer"} aside={<State tone={left < 0 ? "bad" : left < soon ? "warn" : "ok"}>{left < 0 ? "has expired" : `good for ${duration(left)}`}</State>}>
        <Facts>
          <Fact name="Good for"><span class="mono">{c.names.join(", ")}</span></Fact>
          <Fact name="Signed by">{c.self_signed ? "itself: compare the fingerprint" : c.issuer}</Fact>
          <Fact name="Key">{c.key}</Fact>
          <Fact name="Valid from"><Time at={c.not_before} /></Fact>
          <Fact name="Until"><Time at={c.not_after} /></Fact>
          <Fact name="Renewed by">{c.acme ? "an ACME authority" : c.self_signed ? "this peer itself" : "you"}</Fact>
        </Facts>
        <h3 class="below">SHA-256 fingerprint</h3>
        <Fingerprint text={c.fingerprint} />
        <div class="card-tools">
          <Gated why={whyNot("admin")} onClick={() => setDialog("replace")}>Replace…</Gated>
          <Gated why={whyNot("admin")} onClick={() => setDialog("acme")}>From an ACME authority…</Gated>
          <Gated why={whyNot("admin")} onClick={() => setDialog("renew")}>Make a new one…</Gated>
        </div>
        {!may("admin") && <p class="fine">{whyNot("admin")}.</p>}
      </Card>
      {dialog === "replace" && <Replace onClose={close} />}
      {dialog === "acme" && <Acme names={c.names} onClose={close} />}
      {dialog === "renew" && (
        <Confirm title="Make a new certificate?" verb="Make it" onClose={close} act={async () => told(await change("POST /certificate/renew", undefined))}>
          <p>A new one that this peer signs itself. Browsers warn of it until somebody has compared its fingerprint; programs that pinned the old one are refused.</p>
        </Confirm>
      )}
    </Page>
  );
}

function Fingerprint({ text }: { text: string }) {
  return <p class="secret"><span class="mono">{text.split(":").map((pair, i) => <>{i > 0 && <>:<wbr /></>}{pair}</>)}</span> <Copy text={text} /></p>;
}

function told(c: Certificate): void {
  toast(`From the next connection on, ${c.fingerprint.slice(0, 11)}… is shown`);
}

function Replace({ onClose }: { onClose: () => void }) {
  const [certificate, setCertificate] = useState("");
  const [key, setKey] = useState("");
  return (
    <FormDialog title="Replace the certificate" verb="Replace" onClose={onClose} act={async () => told(await change("PUT /certificate", { certificate, private_key: key }))}>
      <label class="field"><span>Certificate as PEM, then those of who signed it</span><textarea required class="mono" rows={6} spellcheck={false} placeholder="-----BEGIN CERTIFICATE-----" value={certificate} onInput={(e) => setCertificate(e.currentTarget.value)} /></label>
      <label class="field"><span>Its key as PEM, not encrypted</span><textarea required class="mono" rows={5} spellcheck={false} autocomplete="off" placeholder="-----BEGIN PRIVATE KEY-----" value={key} onInput={(e) => setKey(e.currentTarget.value)} /></label>
    </FormDialog>
  );
}

function Acme({ names, onClose }: { names: string[]; onClose: () => void }) {
  const [hosts, setHosts] = useState(names.filter((n) => /[a-z]/i.test(n) && n.includes(".")).join(", "));
  const [email, setEmail] = useState("");
  const [directory, setDirectory] = useState("");
  return (
    <FormDialog
      title="Certificates from an ACME authority" verb="Ask for one" onClose={onClose}
      act={async () => told(await change("PUT /certificate/acme", { hosts: hosts.split(/[\s,]+/).filter(Boolean), ...(email && { email }), ...(directory && { directory }) }))}
    >
      <p class="quiet-text">The authority must reach this peer by these names at port 443.</p>
      <label class="field"><span>DNS names, with commas between</span><input required autocomplete="off" value={hosts} onInput={(e) => setHosts(e.currentTarget.value)} /></label>
      <label class="field"><span>E-mail that the authority may write to; may be empty</span><input type="email" value={email} onInput={(e) => setEmail(e.currentTarget.value)} /></label>
      <label class="field"><span>URL of the authority; empty: Let's Encrypt</span><input type="url" value={directory} onInput={(e) => setDirectory(e.currentTarget.value)} /></label>
    </FormDialog>
  );
}
