// Made from the OpenAPI document by `make console`; do not edit.

export interface ACMERequest {
  /** URL of the authority; empty: Let's Encrypt */
  directory?: string;
  /** Whom the authority tells that something is wrong */
  email?: string;
  /** DNS names of this peer; the authority must reach it there, at port 443 */
  hosts: string[];
}

export interface AccessToken {
  /** What it is for */
  comment?: string;
  /** When it was made */
  created: string;
  /** When it ends */
  expires: string;
  /** Ten hexadecimal digits; not a secret */
  id: string;
  /** When it was last used, to the hour */
  last_used?: string;
  /** User whose role bounds it; empty: made on the host */
  owner?: string;
  /** Only this path and those below; empty: all */
  prefix?: string;
  /** What it may do, as far as its owner may */
  role: "viewer" | "operator" | "admin";
}

export interface AccessTokenRequest {
  /** What it is for */
  comment?: string;
  /** Only this path and those below */
  prefix?: string;
  /** What it may do; not more than who asks */
  role: "viewer" | "operator" | "admin";
  /** Seconds until it ends; 0: 90 days */
  ttl_s?: number;
}

export interface AcknowledgeRequest {
  /** Who says so, for the record */
  by?: string;
  /** What others should know, such as who looks after it */
  comment?: string;
}

export interface Acknowledgement {
  /** When */
  at: string;
  /** Who said so */
  by: string;
  /** What they wrote */
  comment?: string;
}

export interface Address {
  /** The address */
  address: string;
  /** Peer that tells it */
  at: string;
  /** What the guest calls itself */
  host?: string;
  /** Hardware address that last asked for it */
  mac?: string;
  /** Who has it; of a guest that asked by DHCP: mac:, id: or duid: and the identifier */
  owner: string;
  /** Peer that it is lent to */
  peer?: string;
  /** Guest port that it was last heard on */
  port?: string;
  /** When it becomes free by itself */
  until?: string;
  /** Why it is not free: allocated, borrowed, lent, offered, returning, foreign */
  use: string;
}

export interface AddressDonation {
  /** How many blocks, if no part is named */
  count?: number;
  /** Only say what would be given */
  dry_run?: boolean;
  /** A block, or a prefix of some that this peer owns */
  part?: string;
  /** Of which; may be left out when the network has one subnet, or with part */
  subnet?: string;
  /** Name of the peer */
  to: string;
}

export interface AddressForget {
  /** Name of the peer */
  peer: string;
}

export interface AddressGift {
  /** Free addresses in them */
  addresses: number;
  /** Blocks of this peer in which nothing is used, afterwards */
  left: number;
  /** The blocks */
  parts: string[];
  /** The subnet */
  subnet: string;
  /** Name of the new owner */
  to: string;
}

export interface AddressImport {
  /** Addresses that are given now, or would be */
  given: ImportedAddress[];
  /** Lines that are left out: addresses that nobody has (lent, foreign), and those whose time is over */
  left: number;
  /** Lines whose owner has the address already */
  same: number;
}

export interface AddressRelease {
  /** The address */
  address: string;
}

export interface AddressRequest {
  /** This one and no other */
  address?: string;
  /** Seconds after which it becomes free unless it is asked for again; 0: until it is released */
  for_s?: number;
  /** Who is to have it */
  owner: string;
  /** From which to allocate; may be left out when the network has one subnet, or with address */
  subnet?: string;
}

export interface AddressWhy {
  /** The address */
  address: string;
  /** Its subnet, who owns its block and how that came about, who has it, and what could be done about it */
  why: string[];
}

export interface Alert {
  /** Who knows of it; missing: nobody has said so on this peer */
  acknowledged?: Acknowledgement;
  /** What is wrong and where, the same while it lasts */
  id: string;
  /** Peer that it is about */
  peer?: string;
  /** Port that it is about */
  port?: string;
  /** What to do about it */
  remedy: string;
  /** Segment that it is about */
  segment?: string;
  /** How much it matters */
  severity: "info" | "warn" | "error";
  /** Since when this peer sees it */
  since: string;
  /** What is wrong, for people */
  text: string;
}

export interface AlertSink {
  /** Events that it took since the queue was made */
  delivered: number;
  /** Events that it was not told, because its queue was full or it refused them */
  dropped: number;
  /** Kinds of events and patterns of them; none: all */
  events: string[];
  /** Attempts that failed in this run */
  failed: number;
  /** Attempts since the last one that succeeded */
  failures: number;
  /** How it is told */
  kind: "webhook" | "command" | "syslog";
  /** Why the last attempt failed; missing: it did not */
  last_error?: string;
  /** Name in the network configuration */
  name: string;
  /** Number that the next event gets; 0: this peer does not tell it */
  next: number;
  /** When it is tried next, after a failure */
  next_attempt?: string;
  /** Who tells it; none: every peer */
  peers: string[];
  /** What is wrong with how it is configured, or kept here */
  problems: Problem[];
  /** Events that wait for it */
  queued: number;
  /** The least that is told */
  severity: "info" | "warn" | "error";
  /** Where messages go, without what could be a secret */
  target: string;
  /** Whether this peer tells it */
  told: boolean;
  /** When it last took an event in this run */
  took?: string;
  /** When it was last tried in this run */
  tried?: string;
}

export interface AppliedPeer {
  /** Name of the peer */
  peer: string;
  /** Why it does not go by the version asked about */
  reason?: string;
  /** Since when it says so, or is silent */
  since?: string;
  /** behind: has not got so far; refused: cannot apply it and keeps the last good one; silent: it does not answer and is waited for; away: it has not answered for a minute, and catches up before it acts */
  state: "applied" | "behind" | "refused" | "silent" | "away";
  /** The version that it goes by, as far as is known here */
  version: number;
}

export interface AuditRecord {
  /** What is there after it, or what was asked for, without secrets */
  after?: unknown;
  /** What was there before, without secrets */
  before?: unknown;
  /** How they were known */
  by?: "session" | "token" | "socket";
  /** Address that it came from; local: the socket */
  from: string;
  /** Grows from record to record */
  id: number;
  /** Method of the request */
  method: string;
  /** Path of the request */
  path: string;
  /** Why it was refused */
  reason?: string;
  /** ID of the request (X-Request-Id) */
  request: string;
  /** Status of the answer */
  status: number;
  /** When */
  time: string;
  /** ID of the token */
  token?: string;
  /** Who; empty: nobody who was known */
  who: string;
}

export interface BackupRequest {
  /** Opens the backup again; nobody can without it */
  passphrase: string;
}

export interface ByRequest {
  /** Who asks, for the record */
  by?: string;
}

export interface Certificate {
  /** Whether an ACME authority is asked for certificates; this one is shown until it gives one */
  acme: boolean;
  /** SHA-256 in pairs of hexadecimal digits, as browsers show it */
  fingerprint: string;
  /** Who signed it */
  issuer: string;
  /** Kind of its key */
  key: string;
  /** Host names and addresses that it is good for */
  names: string[];
  /** When it expires */
  not_after: string;
  /** From when on it is valid */
  not_before: string;
  /** Whether nobody else signed it: compare the fingerprint */
  self_signed: boolean;
  /** Whom it is for */
  subject: string;
}

export interface CertificateRequest {
  /** PEM of the certificate, then of those who signed it */
  certificate: string;
  /** PEM of its key, not encrypted */
  private_key: string;
}

export interface Check {
  /** Stable name */
  name: string;
  /** What it must be, when it is not */
  need?: string;
  /** Whether it is right */
  ok: boolean;
  /** Gateway at which it was looked at */
  peer: string;
  /** What was found */
  value: string;
}

export interface Circle {
  /** Whether it goes round just now */
  circling: boolean;
  /** How many copies came in since it began */
  count: number;
  /** Address that it is for */
  destination: string;
  /** Where the copies come in */
  heard: LoopEnd;
  /** Where the station itself speaks */
  known: LoopEnd;
  /** When the last one came in */
  last: string;
  /** Whether it is a loop, and no echo of a station that moved: 10 copies at least */
  loop: boolean;
  /** The same for each second from the first copy to the last, of one second at least */
  per_second: number;
  /** When the first one came in */
  since: string;
  /** Address of the station that sent it */
  source: string;
  /** Its EtherType in hexadecimal; of a tagged frame that of the tag */
  type: string;
  /** Number of the overlay */
  vni: number;
}

export interface ClearRequest {
  /** Who asks, for the record */
  by?: string;
}

export interface ConfigApplied {
  /** Every peer that is alive goes by it, or by a newer one */
  complete: boolean;
  /** All peers of the network, those first that are waited for */
  peers: AppliedPeer[];
  /** The version asked about */
  version: number;
}

export interface ConfigChange {
  /** Who asks, for the record */
  by?: string;
  /** Why */
  comment?: string;
  /** Seconds in which it must be confirmed, or it is reverted everywhere; 0: it need not */
  confirm_s?: number;
  /** The whole configuration; or text */
  document?: unknown;
  /** The same as TOML or JSON text: problems are then told by line and column */
  text?: string;
}

export interface ConfigCheck {
  /** The version that it was compared to */
  base: number;
  /** What it would change */
  changes: ConfigSetting[];
  /** It can be applied */
  ok: boolean;
  /** What is wrong with it, all of it */
  problems: ConfigProblem[];
  /** The same as diff -u of the TOML forms; empty: nothing */
  unified: string;
}

export interface ConfigConfirm {
  /** Who confirms, for the record */
  by?: string;
}

export interface ConfigDiff {
  /** What differs, in order of path */
  changes: ConfigSetting[];
  /** The one version */
  from: number;
  /** The other version */
  to: number;
  /** The same as diff -u of the TOML forms; empty: nothing */
  unified: string;
}

export interface ConfigHistory {
  /** How many numbers below that are not kept any more */
  gone: number;
  /** Number of the version in force; 0: none */
  newest: number;
  /** Number of the oldest that is kept; 0: none */
  oldest: number;
  /** The newest first, without documents */
  versions: ConfigVersion[];
}

export interface ConfigProblem {
  /** Column in the line, from 1 */
  column?: number;
  /** Line in the text, from 1; left out when there is none */
  line?: number;
  /** Setting that it is about */
  setting?: string;
  /** What is wrong and what is allowed */
  text: string;
}

export interface ConfigRollback {
  /** Who asks, for the record */
  by?: string;
  /** Why */
  comment?: string;
  /** Seconds in which it must be confirmed, or it is reverted everywhere; 0: it need not. While another version waits to be confirmed, only 0 is taken */
  confirm_s?: number;
  /** The version to go back to; its document becomes a new version */
  to: number;
}

export interface ConfigSetting {
  /** Its value after; empty: it is gone */
  after: string;
  /** Its value before; empty: it was not there */
  before: string;
  /** Its path; elements of lists go by their name */
  setting: string;
}

export interface ConfigVersion {
  /** Who asked for it, and on which peer */
  author?: string;
  /** Why */
  comment?: string;
  /** Until when it must be confirmed */
  confirm_by?: string;
  /** Seconds in which it had to be confirmed; left out: it never had */
  confirm_s?: number;
  /** The configuration, as docs/reference/network-config.md describes it; left out in lists */
  document?: unknown;
  /** The earlier version whose document it has again: it is a rollback or a revert */
  of?: number;
  /** The version that it followed; 0: none */
  parent: number;
  /** When it was confirmed or reverted */
  settled?: string;
  /** Who confirmed or reverted it */
  settled_by?: string;
  /** waiting: it is in force, and goes unless it is confirmed in time */
  state: "current" | "waiting" | "reverted" | "superseded";
  /** When it was asked for */
  time: string;
  /** Its number; 0: nothing was configured yet, and the defaults hold */
  version: number;
}

export interface Confirmation {
  /** The current password */
  password: string;
}

export interface DataPath {
  /** How frames are sealed between peers */
  cipher: string;
  /** What forwards frames: user space or the kernel */
  engine: "user" | "kernel";
  /** Who checks the lease of a segment: the kernel for every frame (hard), this process (soft), or nobody because there is no segment port */
  gate: "hard" | "soft" | "none";
  /** The kernel joins datagrams that arrive (UDP receive offload) */
  gro: boolean;
  /** The kernel cuts our datagrams (UDP segmentation offload) */
  gso: boolean;
  /** Why something better is not in use */
  notes: string[];
  /** Overlays that the network configuration wants in the kernel */
  overlays: OverlayPath[];
  /** Ports take super-frames with virtio-net headers */
  vnet: boolean;
}

export interface Disk {
  /** What is on it, for people */
  holds: string;
  /** As the disk says */
  model?: string;
  /** Name without its directory */
  name: string;
  /** Why the system cannot be written to it, with the remedy; empty: it can */
  refused?: string;
  /** Bytes */
  size: number;
}

export interface Disks {
  /** Whether this peer runs the appliance image, which can be written to another disk */
  appliance: boolean;
  /** Every disk, by name */
  disks: Disk[];
  /** Why not, and what to do instead */
  reason?: string;
}

export interface DrillLeg {
  /** Gateway that gave the segment up */
  from: string;
  /** What the gateways counted */
  handover?: HandoverResult;
  /** What the probes found, by direction */
  probes: DrillProbe[];
  /** Gateway that took it */
  to: string;
}

export interface DrillProbe {
  /** Which way they went through the gate */
  direction: "to-segment" | "from-segment";
  /** Copies beyond the first */
  duplicated: number;
  /** The most of them on end */
  gap: number;
  /** That never arrived */
  lost: number;
  /** That arrived after a later one */
  reordered: number;
  /** Probe frames that were sent, one each millisecond */
  sent: number;
  /** Longest time between two arrivals */
  silence_ms: number;
}

export interface DrillReport {
  /** Who asked */
  by?: string;
  /** That of the operation */
  id: string;
  /** There and back */
  legs: DrillLeg[];
  /** Both ways succeeded, and nothing was doubled, out of order or lost, but for one gap each way, of a lease's term at most, where the kernel carries the overlay */
  ok: boolean;
  /** The same for people */
  outcome: string;
  /** Segment that was moved */
  segment: string;
  /** It was on schedule and was not begun: the outcome says why */
  skipped?: boolean;
  /** When it began */
  time: string;
}

export interface DrillRequest {
  /** Who asks, for the record */
  by?: string;
  /** Gateway to move it to and back from; empty: the one that is ready soonest */
  to?: string;
}

export interface Ended {
  /** Sessions that ended */
  ended: number;
}

export interface ErrorDetail {
  /** Where the error occurred, e.g. 'body.items[3].tags' or 'path.thing-id' */
  location?: string;
  /** Error message text */
  message?: string;
  /** The value at the given location */
  value?: unknown;
}

export interface ErrorModel {
  /** A human-readable explanation specific to this occurrence of the problem. */
  detail?: string;
  /** Optional list of individual error details */
  errors?: ErrorDetail[];
  /** A URI reference that identifies the specific occurrence of the problem. */
  instance?: string;
  /** HTTP status code */
  status?: number;
  /** A short, human-readable summary of the problem type. This value should not change between occurrences of the error. */
  title?: string;
  /** A URI reference to human-readable documentation for the error. */
  type?: string;
}

export interface Event {
  /** ID of the alert that it began or ended */
  alert?: string;
  /** Tenure that it is about, generation.ballot */
  epoch?: string;
  /** Grows from event to event, also across restarts */
  id: number;
  /** What happened, in stable snake_case */
  kind: string;
  /** How much it matters */
  level: "info" | "warn" | "error";
  /** Peer that it is about */
  peer?: string;
  /** Port that it is about */
  port?: string;
  /** Why it happened, or what to do about it */
  reason?: string;
  /** Segment that it is about */
  segment?: string;
  /** What happened, for people */
  text: string;
  /** When */
  time: string;
}

export interface FetchRequest {
  /** Who asks, for the record */
  by?: string;
  /** Also a release that is not newer than what runs */
  older?: boolean;
  /** Appliance to update; empty: this one */
  peer?: string;
  /** Start the machine again afterwards; its segments are handed over first */
  restart?: boolean;
  /** Where the bundle is; https only */
  url: string;
}

export interface FirstRunCode {
  /** Eight words; empty when there are users */
  code: string;
}

export interface FirstRunRequest {
  /** The eight words from the log or the local console */
  code: string;
  /** Name of the admin */
  name: string;
  /** Their password, at least 12 characters */
  password: string;
}

export interface Flush {
  /** On all peers, not on this one alone */
  everywhere?: boolean;
  /** Only this address */
  mac?: string;
  /** Only what goes to this peer */
  peer?: string;
  /** Only what was seen at this port */
  port?: string;
  /** Only what is behind this segment */
  segment?: string;
  /** Only this overlay */
  vni?: number;
}

export interface FlushRequest {
  /** Who asks, for the record */
  by?: string;
  /** Only this address */
  mac?: string;
  /** Only what goes to this peer */
  peer?: string;
  /** Only what was seen at this port */
  port?: string;
  /** Only what is behind this segment */
  segment?: string;
  /** Only this overlay */
  vni?: number;
}

export interface Flushed {
  /** Entries that were forgotten on this peer */
  flushed: number;
}

export interface FlushedAt {
  /** Whether it said that it has done so */
  answered: boolean;
  /** Entries that it forgot */
  count: number;
  /** Name of the peer */
  peer: string;
}

export interface GateRequest {
  /** Who asks, for the record */
  by?: string;
  /** true: open it as soon as ALONE has nothing against it; false: shut it */
  open: boolean;
}

export interface Gateway {
  /** Whether its gate is open */
  gate: "open" | "shut";
  /** auto, passive or active-manual */
  mode?: string;
  /** Name of the peer */
  peer: string;
  /** Whether it could take over now */
  ready: boolean;
  /** Why it could not, or why its gate is shut */
  reasons: string[];
}

export interface HandoverResult {
  /** Whether frames were kept meanwhile; not where the kernel carries the overlay */
  buffered: boolean;
  /** Frames for which there was no room */
  dropped: number;
  /** Tenure of the new gateway; empty: the connection ended before it was told */
  epoch: string;
  /** Frames that the old gateway kept and handed over */
  handed: number;
  /** Frames that the new gateway kept itself and forwarded */
  kept: number;
  /** From the moment at which the old gateway began to hold frames until it heard that the new gate is open */
  pause_ms: number;
  /** Frames that both had and that were forwarded once */
  twice: number;
}

export interface ImportedAddress {
  /** The address */
  address: string;
  /** Peer that gives it */
  at: string;
  /** In the file, from 1 */
  line: number;
  /** Who has it */
  owner: string;
  /** When it becomes free by itself */
  until?: string;
}

export interface Inheritance {
  /** Peer that inherits its space; empty: nobody could be found who can be reached */
  heir?: string;
  /** Number of its state file; under another one it can come back */
  life: string;
  /** Its space, as this peer knows it */
  parts: InheritedPart[];
  /** Name of the peer */
  peer: string;
  /** Seconds that the heir waits, unless the peer itself says before that it has stopped: for so long it may go on giving addresses */
  wait_s: number;
}

export interface InheritedPart {
  /** The parts that have another owner then */
  parts: string[];
  /** Its prefix */
  subnet: string;
}

export interface InstallRequest {
  /** Who asks, for the record */
  by?: string;
  /** The same name again, as a confirmation */
  confirm: string;
  /** Name of the disk; everything on it is erased */
  disk: string;
}

export interface Issuer {
  /** What the issuer calls this network */
  client_id: string;
  /** What the issuer knows it by; never shown; left out: as before */
  client_secret?: string;
  /** URL of the issuer */
  issuer: string;
  /** What the button says */
  name: string;
  /** Claim that has the name; empty: preferred_username */
  name_claim?: string;
  /** Where the issuer sends people back to: https://CONSOLE/api/v1/oidc/callback, or https://{host}/api/v1/oidc/callback for the console that the browser is at, when the issuer knows all of them */
  redirect_url: string;
  /** Claim that decides on the role, a text or a list of texts */
  role_claim: string;
  /** Role by value of that claim; the strongest counts, and who has none stays out */
  roles: Record<string, string>;
  /** What to ask for beside openid and profile */
  scopes?: string[];
}

export interface Link {
  /** This peer made the call */
  dialled: boolean;
  /** The kernel joins datagrams that arrive */
  gro: boolean;
  /** The kernel cuts our datagrams */
  gso: boolean;
  /** How much successive round trips differ, in milliseconds, smoothed */
  jitter_ms: number;
  /** Age in seconds of the key that this end seals with */
  key_age_s: number;
  /** Share of heartbeats of the last seconds that were lost, 0 to 1 */
  loss: number;
  /** Largest IP packet in bytes that crosses in one datagram */
  mtu: number;
  /** Way that frames take: datagrams, the control connection (UDP is blocked; slower), or none */
  path: "udp" | "tcp" | "none";
  /** Name of the far end */
  peer: string;
  /** Why it is not better */
  problems: Problem[];
  /** Address that the far end is heard from */
  remote?: string;
  /** Round trip in milliseconds, smoothed */
  rtt_ms: number;
  /** Bytes received */
  rx_bytes: number;
  /** Frames received */
  rx_frames: number;
  /** Of the last change of up or path */
  since: string;
  /** Bytes sent */
  tx_bytes: number;
  /** Frames sent */
  tx_frames: number;
  /** Whether it carries frames */
  up: boolean;
}

export interface LoginRequest {
  /** Code of the authenticator app, or a recovery code; ask for it when a problem of type urn:drawbridge:problem:totp-needed says so */
  code?: string;
  /** Name of the user */
  name: string;
  /** Their password */
  password: string;
}

export interface LoopEnd {
  /** At a guest port of this peer, at another peer, or behind a segment */
  at: "port" | "peer" | "segment";
  /** Peer where it is, or the segment's active gateway */
  peer?: string;
  /** Port of this peer */
  port?: string;
  /** Segment that it is behind */
  segment?: string;
}

export interface LoopPort {
  /** Name of the port */
  port: string;
  /** Why, as in ports */
  reason: string;
  /** What to do about it */
  remedy?: string;
  /** What is wrong */
  summary: string;
}

export interface Loops {
  /** Ports of this peer that ALONE blocks because their wire leads where it must not */
  blocked: LoopPort[];
  /** Kinds of frames that came round within the last ten minutes, the newest first, 256 at most. Each copy was dropped */
  circles: Circle[];
  /** Whether frames go round just now: 10 of one kind at least, the last within 10 s */
  circling: boolean;
  /** What every other peer hears, as it told itself: what goes round first, then who is silent */
  elsewhere: PeerLoops[];
  /** Frames that came round since the start and could not be looked at, as they were too many at once */
  missed: number;
  /** What to do about what goes round just now, here or elsewhere, from what all peers hear */
  remedy?: string;
}

export interface MAC {
  /** Where it is: at a guest port of this peer, at another peer, or behind a segment */
  at: "port" | "peer" | "segment";
  /** When it was first seen there */
  learned: string;
  /** Address of the station */
  mac: string;
  /** Peer that frames for it go to: where it is, or the segment's active gateway */
  peer?: string;
  /** Port of this peer that it was seen at */
  port?: string;
  /** When it was last seen there */
  seen: string;
  /** Segment that it is behind */
  segment?: string;
  /** Number of the overlay */
  vni: number;
}

export interface MACStep {
  /** Where it is from then on, or was until then */
  at: "port" | "peer" | "segment";
  /** Why, as far as this peer knows */
  cause?: string;
  /** Peer that frames for it go to */
  peer?: string;
  /** Port of this peer */
  port?: string;
  /** Segment that it is behind */
  segment?: string;
  /** When */
  time: string;
  /** learned: heard first; moved: heard elsewhere; aged: silent for too long and forgotten; flushed: somebody had it forgotten; gone: its port went away; repointed: another gateway carries the segment that it is behind */
  what: "learned" | "moved" | "aged" | "flushed" | "gone" | "repointed";
}

export interface MACStory {
  /** Address of the station */
  mac: string;
  /** Where it was, the oldest first; the last 16 of this peer's table, and what re-pointed it meanwhile */
  steps: MACStep[];
  /** Number of the overlay */
  vni: number;
}

export interface MaintenanceRequest {
  /** Who asks, for the record */
  by?: string;
  /** true: give up all segments and take none; false: take part again */
  on: boolean;
}

export interface ModeRequest {
  /** Who asks, for the record */
  by?: string;
  /** The mode; active-manual opens the gate as soon as ALONE has nothing against it */
  mode: "auto" | "passive" | "active-manual";
}

export interface Network {
  /** Its random identity, 32 hexadecimal digits */
  id: string;
  /** Name of the network */
  name: string;
}

export interface NewAccessToken {
  /** What the list will show */
  info: AccessToken;
  /** Send it as Authorization: Bearer; a secret */
  token: string;
}

export interface NewToken {
  /** What the list of tokens will show */
  info: Token;
  /** The text to give to drawbridge join; a secret */
  token: string;
}

export interface Operation {
  /** Who asked */
  by?: string;
  /** What was looked at before */
  checks: Check[];
  /** What a drill measured */
  drill?: DrillReport;
  /** Only looked whether it would work */
  dry_run?: boolean;
  /** When it ended */
  ended?: string;
  /** What each peer forgot */
  flushed: FlushedAt[];
  /** Gateway that gives the segment up */
  from?: string;
  /** What a switchover cost, as the gateways themselves counted */
  handover?: HandoverResult;
  /** Sixteen hexadecimal digits */
  id: string;
  /** What is being done */
  kind: "switchover" | "maintenance" | "drill" | "flush" | "update" | "install";
  /** What came of it, for people */
  outcome?: string;
  /** Peer that it is about */
  peer?: string;
  /** How far the present step of an update is */
  progress?: Progress;
  /** Segment that it is about */
  segment?: string;
  /** When it began */
  started: string;
  /** How it stands; refused: nothing was done */
  state: "running" | "done" | "failed" | "refused";
  /** What has been done so far */
  steps: Step[];
  /** Gateway that takes it */
  to?: string;
  /** What led to it, when nobody asked but a rule of the network */
  why?: string;
}

export interface OverlayPath {
  /** What forwards its frames here; mixed: the kernel does what is for one station at some of the peers, user space the rest; none for a moment after the kernel has failed */
  engine: "user" | "kernel" | "mixed" | "none";
  /** Name of the overlay; its number while the configuration does not name it */
  overlay: string;
  /** What takes in frames for one station at each other peer that is reached */
  peers: PeerEngine[];
  /** Why the kernel does not, or not all */
  reason?: string;
  /** Number of the overlay */
  vni: number;
  /** What the network configuration says */
  wanted: "user" | "kernel" | "auto";
}

export interface OwnPasswordRequest {
  /** The password until now */
  current: string;
  /** At least 12 characters; other sessions end */
  password: string;
}

export interface PasswordRequest {
  /** At least 12 characters; sessions of the user end */
  password: string;
}

export interface Peer {
  /** Addresses at which it says it can be called */
  endpoints: string[];
  /** Eight hexadecimal digits of its key */
  id: string;
  /** How much successive round trips differ, in milliseconds, smoothed */
  jitter_ms: number;
  /** Share of probes of the last seconds that were lost, 0 to 1 */
  loss: number;
  /** What failure detection among all peers says: alive, suspect, dead or left */
  membership?: string;
  /** Largest IP packet in bytes that crosses to it whole; 0: unknown */
  mtu: number;
  /** Name of the peer */
  name: string;
  /** Way of the link: udp, tcp (UDP is blocked; slower) or none */
  path?: string;
  /** Address that it is heard from */
  remote?: string;
  /** What its certificate entitles it to: voter, gateway, or peer for neither */
  roles: string[];
  /** Round trip in milliseconds, smoothed; of the whole path when relayed; 0: unknown */
  rtt_ms: number;
  /** Bytes received */
  rx_bytes: number;
  /** Frames received */
  rx_frames: number;
  /** Segments that it is a gateway of */
  segments: string[];
  /** Since when it is in this state */
  since: string;
  /** Version of its daemon */
  software?: string;
  /** How frames reach it: over a link of our own, through other peers, or not; left: it said goodbye */
  state: "self" | "direct" | "relayed" | "unreachable" | "left";
  /** Bytes sent */
  tx_bytes: number;
  /** Frames sent */
  tx_frames: number;
  /** Which run of the peer */
  uid?: string;
  /** Version of what it last told about itself */
  version: number;
  /** Adjacent peer that frames for it go to, when relayed */
  via?: string;
}

export interface PeerCount {
  /** Reached over a link of our own */
  direct: number;
  /** Reached through other peers */
  relayed: number;
  /** All other peers that are known */
  total: number;
  /** Not reached */
  unreachable: number;
}

export interface PeerEngine {
  /** User space or the kernel */
  engine: "user" | "kernel";
  /** Name of the peer */
  peer: string;
  /** Why the kernel does not */
  reason?: string;
}

export interface PeerLoops {
  /** Seconds since it said so; 0 with silent: it never did */
  age_s: number;
  /** Kinds of frames that came round there within the last ten minutes, the newest first */
  circles: Circle[];
  /** Whether frames go round there just now */
  circling: boolean;
  /** Kinds that were too many to tell of; the peer itself lists them */
  left_out?: number;
  /** Who says so */
  peer: string;
  /** It has not said for longer than it should: what is here is how it was, or nothing */
  silent: boolean;
}

export interface Port {
  /** Why ALONE blocks the port until it is cleared; missing when it does not */
  blocked?: string;
  /** Kernel bridge that the TAP is a port of */
  bridge?: string;
  /** Frames that were dropped at it since the start, by reason */
  drops: Record<string, number>;
  /** Tenure under which the gate is open: generation.ballot */
  epoch?: string;
  /** Whether frames may cross; none: a guest port has no gate */
  gate: "open" | "shut" | "none";
  /** Who checks it: the kernel, this process, nobody */
  gate_kind: "hard" | "soft" | "none";
  /** Network interface behind it */
  interface: string;
  /** A gateway's port on a segment, or one for local guests */
  kind: "segment" | "guest";
  /** Addresses that were seen at it */
  macs: number;
  /** auto, passive or active-manual, on a segment port */
  mode?: string;
  /** MTU of the interface in bytes */
  mtu: number;
  /** Name of the port: interface, with .VLAN when tagged */
  name: string;
  /** Why it does not work, or not as well as it could */
  problems: Problem[];
  /** Bytes received */
  rx_bytes: number;
  /** Frames received */
  rx_frames: number;
  /** Name of the segment, on a segment port */
  segment?: string;
  /** Of the last change of up or gate */
  since: string;
  /** Bytes sent */
  tx_bytes: number;
  /** Frames sent */
  tx_frames: number;
  /** Whether the interface is there and has carrier */
  up: boolean;
  /** 802.1Q tag; 0: untagged */
  vlan?: number;
  /** Takes super-frames with virtio-net headers */
  vnet: boolean;
  /** Number of the overlay that it is on */
  vni: number;
}

export interface Problem {
  /** What to do about it */
  remedy?: string;
  /** What is wrong */
  summary: string;
}

export interface Progress {
  /** Bytes that are done */
  done: number;
  /** Stable name */
  step: string;
  /** Bytes in all; 0: unknown */
  total: number;
}

export interface RecoveryCodes {
  /** Each is good for one log in; they are shown this once */
  codes: string[];
}

export interface RefusedSubnet {
  /** Its prefix */
  subnet: string;
  /** What is in the way, and on which peer */
  why: string;
}

export interface Reset {
  /** Name of the peer, which it will have no more */
  peer: string;
  /** What happens, in this order; none of it can be followed by the API */
  steps: string[];
  /** Seconds after which the machine starts anew at the latest */
  within_s: number;
}

export interface ResetRequest {
  /** Who asks, for the record */
  by?: string;
  /** Name of the peer that is asked, as a confirmation */
  confirm: string;
}

export interface Rollout {
  /** Seconds since the coordinator told, when this peer does not coordinate it */
  age_s?: number;
  /** What the coordinator sends, if the source is upload */
  bundle?: RolloutBundle;
  /** Who asked */
  by?: string;
  /** Peer that carries it out */
  coordinator: string;
  /** When it ended */
  ended?: string;
  /** Whether that is this peer; if not, all this is as the coordinator told last */
  here: boolean;
  /** Sixteen hexadecimal digits */
  id: string;
  /** Peers that are not listed because the coordinator could not tell of so many */
  left_out?: number;
  /** What happened, the oldest first */
  log: RolloutLine[];
  /** Also a release that is not newer than what a peer runs */
  older?: boolean;
  /** Those that are updated */
  peers: RolloutPeer[];
  /** Why it is paused or aborted */
  reason?: string;
  /** What to do when the coordinator is silent */
  remedy?: string;
  /** The coordinator has told nothing for 10 s although it is not over: how it stands is not known */
  silent?: boolean;
  /** Where peers take the software from; restart: what is on their disks; upload: the coordinator sends it; or the https address of a bundle */
  source: string;
  /** When it began */
  started: string;
  /** How it stands */
  state: "running" | "paused" | "aborted" | "done";
  /** What it waits for */
  waits?: string;
  /** Version that every peer must run afterwards; empty: whatever it has then */
  want?: string;
}

export interface RolloutBundle {
  /** When its release was made */
  release: string;
  /** Bytes */
  size: number;
  /** Version of the software in it */
  version: string;
}

export interface RolloutLine {
  /** Where */
  peer?: string;
  /** What, for people */
  text: string;
  /** When */
  time: string;
}

export interface RolloutPeer {
  /** Version before */
  from?: string;
  /** Name of the peer */
  name: string;
  /** Since when */
  since: string;
  /** How far it is */
  step: "waiting" | "check" | "move" | "update" | "return" | "verify" | "updated";
  /** Version after */
  to?: string;
}

export interface RolloutRequest {
  /** Every peer that is reached, not gateways only */
  all?: boolean;
  /** Who asks, for the record */
  by?: string;
  /** Also a release that is not newer than what a peer runs; for bundles */
  older?: boolean;
  /** Peers to update; empty: all gateways */
  peers?: string[];
  /** restart (the default): what is on the disks; or the https address of a bundle for appliances */
  source?: string;
  /** Version that every peer must run afterwards; empty: whatever is on the disks */
  want?: string;
}

export interface Route {
  /** Every peer on the way, the destination last */
  hops: string[];
  /** Sum of the links' metrics, in milliseconds */
  metric_ms: number;
  /** Largest IP packet in bytes that crosses the way whole */
  mtu: number;
  /** Where to */
  peer: string;
  /** Adjacent peer that frames are handed to; empty: unreachable */
  via: string;
}

export interface Routes {
  /** Where floods go, by the peer that they began at */
  broadcast: Tree[];
  /** The topology changed a moment ago: floods take every link until it has settled */
  flux: boolean;
  /** The way to every other peer */
  unicast: Route[];
}

export interface Segment {
  /** The gateway whose gate is open; null: nobody */
  active: string | null;
  /** Why the last change happened */
  cause: string;
  /** When a drill is made by itself, in UTC; absent: never */
  drill?: string;
  /** Number of the tenure, generation.ballot; only grows */
  epoch: string;
  /** All gateways of the segment */
  gateways: Gateway[];
  /** Name of the segment */
  name: string;
  /** When the next one is */
  next_drill?: string;
  /** Overlay that it is bridged to: its name, or its number while it has none */
  overlay: string;
  /** What the active gateway does without a majority of the voters */
  quorum_loss?: "close" | "hold" | "segment";
  /** Since when */
  since: string;
  /** Why two gateways might be active at once, by the network's own choice; absent: they cannot */
  unsafe?: string;
  /** Number of that overlay */
  vni: number;
}

export interface SegmentGate {
  /** Why */
  cause: string;
  /** Tenure under which it is open, generation.ballot */
  epoch?: string;
  /** hard: the kernel compares the deadline for every frame; soft: this process does */
  kind: string;
  /** Until it shuts by itself unless somebody renews */
  left_ms: number;
  /** Who moves the gate */
  mode: "auto" | "passive" | "active-manual";
  /** Whether frames pass now */
  open: boolean;
  /** The peer that was asked */
  peer: string;
  /** What the wire has against it */
  reasons: string[];
  /** Name of the segment */
  segment: string;
  /** Since when */
  since: string;
}

export interface SegmentMode {
  /** Who set it */
  by?: string;
  /** What the node file says: it counts again when the peer starts */
  configured: "auto" | "passive" | "active-manual";
  /** auto: follows the voters. passive: never opens. active-manual: its gate is moved by hand, and ALONE may shut it */
  mode: "auto" | "passive" | "active-manual";
  /** What the network configuration says of the segment; it counts for gateways in mode auto */
  network: "auto" | "passive" | "active-manual";
  /** The peer that was asked: a mode is of one gateway */
  peer: string;
  /** Name of the segment */
  segment: string;
  /** When */
  since: string;
}

export interface Session {
  /** What the browser calls itself */
  agent: string;
  /** When they logged in */
  began: string;
  /** When it ends if it is not used */
  expires: string;
  /** Address of the browser */
  from: string;
  /** Sixteen hexadecimal digits; not a secret */
  id: string;
  /** Whether it is the one that asks */
  own: boolean;
  /** When it was last used */
  seen: string;
  /** Who logged in */
  user: string;
}

export interface SessionInfo {
  /** How they are known */
  by?: "session" | "token" | "socket";
  /** When the session or the token ends at the latest */
  expires?: string;
  /** SHA-256 of this peer's certificate, to compare with what the browser shows */
  fingerprint?: string;
  /** There are no users yet: ask for the one-time code */
  first_run: boolean;
  /** Name of the OpenID Connect issuer by which people can log in, too */
  issuer?: string;
  /** Whether somebody is known */
  logged_in: boolean;
  /** Who: a user, unix:NAME at the local socket, oidc:NAME from an issuer, token:ID */
  name?: string;
  /** Name of this peer */
  peer: string;
  /** What they may do */
  role?: "viewer" | "operator" | "admin";
}

export interface SinkTest {
  /** Why not */
  error?: string;
  /** Whether it took the message */
  ok: boolean;
  /** Name of the sink */
  sink: string;
  /** How long that took, in milliseconds */
  took_ms: number;
}

export interface SinkTestRequest {
  /** Who asks; it is in the message */
  by?: string;
}

export interface Status {
  /** Addresses that other peers are told; empty when nobody can call this one */
  advertise: string[];
  /** Set when another host runs with this peer's identity: who and where */
  clone?: string;
  /** How frames travel, as it was found by probing */
  data_path: DataPath;
  /** Frames that were dropped since the start, by reason */
  drops: Record<string, number>;
  /** Eight hexadecimal digits of this peer's key */
  id: string;
  /** Addresses at which other peers reach this one, by TCP and UDP */
  listen: string[];
  /** How many MAC addresses are known */
  macs: number;
  /** Largest IP packet in bytes that crosses to every peer whole; set it on guests. 0: no peer is reachable */
  mtu: number;
  /** Name of this peer */
  name: string;
  /** The network that this peer belongs to */
  network: Network;
  /** How many other peers are known, by state */
  peers: PeerCount;
  /** What is wrong just now, worst first */
  problems: Problem[];
  /** Whether this peer does everything that its node file asks for */
  ready: boolean;
  /** What the certificate entitles to: voter, gateway, or peer for neither */
  roles: string[];
  /** When this run began */
  started: string;
  /** Sixteen hexadecimal digits that tell this run of the peer from others */
  uid: string;
  /** Seconds since then */
  uptime_s: number;
  /** Version of the daemon */
  version: string;
}

export interface Step {
  /** The same in milliseconds since the operation began */
  at_ms: number;
  /** Stable name */
  name: string;
  /** Who did it */
  peer?: string;
  /** What it was, for people */
  text: string;
  /** When it was done */
  time: string;
}

export interface Subnet {
  /** Whether this peer may give addresses of it now */
  able: boolean;
  /** Addresses that this peer can give without asking */
  free: number;
  /** The same for all peers, as they said last */
  free_everywhere: number;
  /** Overlays that the network configuration has it on; none: it is not in the configuration any more, and is kept for those who have its addresses */
  overlays: string[];
  /** How much each peer has, as it said last */
  peers: SubnetPeer[];
  /** Why not */
  reason?: string;
  /** Who owns which part */
  ring: SubnetShare[];
  /** Address under which every peer answers DHCP on its guest ports */
  server?: string;
  /** Its prefix */
  subnet: string;
  /** Blocks of this peer that their former owner has not handed over yet */
  unreceived: number;
  /** Addresses that are not free at this peer */
  used: number;
  /** Requests at this peer that wait for others */
  waiting: number;
}

export interface SubnetPeer {
  /** Seconds until it has none left at the present rate; 0: never */
  dry_s?: number;
  /** Addresses that it can give */
  free: number;
  /** Blocks in which nothing is used */
  free_blocks: number;
  /** Name of the peer */
  peer: string;
}

export interface SubnetShare {
  /** Number of the owner's state file */
  life: string;
  /** Name of its owner; empty: nobody yet */
  peer: string;
  /** The part */
  prefix: string;
}

export interface SubnetSuggestion {
  /** Those before it that are not */
  refused: RefusedSubnet[];
  /** The first that is free */
  subnet: string;
}

export interface SwitchoverRequest {
  /** Who asks, for the record */
  by?: string;
  /** Only look whether it would work */
  dry_run?: boolean;
  /** Gateway to move it to; empty: the one that is ready soonest */
  to?: string;
}

export interface TOTPCode {
  /** The six digits that the app shows */
  code: string;
}

export interface TOTPSecret {
  /** Base32, to type into an authenticator app */
  secret: string;
  /** The same as otpauth URI, for a QR code */
  uri: string;
}

export interface Takeover {
  /** Its gate is open */
  active: boolean;
  /** Why it is, as the whole chain of causes */
  cause?: string;
  /** Each check with its present value */
  checks: Check[];
  /** How long ago, in seconds, a drill on schedule was last begun or skipped, as far as this gateway knows */
  drilled_s?: number;
  /** Name of the gateway */
  peer: string;
  /** How long they would be held by a switchover to it, by the last ones; 0: none yet */
  planned_ms: number;
  /** How long frames would stop if the active gateway died now, by the lease's timers and round trips; 0: unknown, or it is active */
  predicted_ms: number;
  /** How long ago, in seconds, preempt last moved the segment, as far as this gateway knows; absent: not in the last five minutes */
  preempted_s?: number;
  /** With preempt: what the preferred gateway waits for before it takes the segment */
  preempts?: string;
  /** Every check passes */
  ready: boolean;
  /** Name of the segment */
  segment: string;
  /** When this was looked at */
  told: string;
}

export interface Token {
  /** When it was made */
  created: string;
  /** Who asked for it */
  created_by?: string;
  /** When it ends */
  expires: string;
  /** Ten hexadecimal digits; not a secret */
  id: string;
  /** How many may still join by it */
  left: number;
  /** What a peer that joins by it may be */
  roles: string[];
  /** Whether a peer can join by it now */
  state: "valid" | "expired" | "used" | "revoked";
  /** How many peers it was made for */
  uses: number;
}

export interface TokenRequest {
  /** Who asks, for the list */
  by?: string;
  /** What the peer that joins may be: voter, gateway; peer or none: neither */
  roles?: string[];
  /** Seconds until it expires; 0: one hour */
  ttl_s?: number;
  /** How many peers may join by it; 0: one */
  uses?: number;
}

export interface Tree {
  /** Adjacent peers that this one passes it to */
  children: string[];
  /** Peer at which the flood began */
  origin: string;
}

export interface Update {
  /** Whether this peer runs the appliance image and can be updated here */
  appliance: boolean;
  /** Why the last update was given up */
  failure?: string;
  /** Slot that starts next */
  next?: string;
  /** Why not, and what to do instead */
  reason?: string;
  /** Slot that runs */
  running?: string;
  /** Both slots */
  slots: UpdateSlot[];
}

export interface UpdateSlot {
  /** Name of the slot */
  name: "a" | "b";
  /** When its release was made; nothing: the slot is empty */
  release?: string;
  /** good: it was healthy once; trial: it has yet to show that it is; failed: it never became healthy */
  standing: "empty" | "good" | "trial" | "failed";
}

export interface User {
  /** When the password was set */
  changed: string;
  /** When they were made */
  created: string;
  /** Whether they are kept from logging in */
  disabled: boolean;
  /** Name of the user */
  name: string;
  /** Recovery codes that were not used yet */
  recovery_left: number;
  /** What they may do */
  role: "viewer" | "operator" | "admin";
  /** Log ins on this peer that have not ended */
  sessions: number;
  /** Whether log in takes a code of an authenticator app */
  totp: boolean;
}

export interface UserChange {
  /** Whether they are kept from logging in; sessions and tokens end at once */
  disabled?: boolean;
  /** What they may do from the next request on */
  role?: "viewer" | "operator" | "admin";
}

export interface UserRequest {
  /** 1 to 32 of a-z, 0-9, '.', '_' and '-' */
  name: string;
  /** At least 12 characters */
  password: string;
  /** What they may do */
  role: "viewer" | "operator" | "admin";
}

export interface Version {
  /** Version of Go that it was built with */
  go: string;
  /** Release of the running kernel */
  kernel?: string;
  /** Operating system and architecture */
  os: string;
  /** Version of the daemon */
  version: string;
}

export interface Voter {
  /** Where the others reach it */
  address?: string;
  /** Whether it has answered within the last second */
  answers: boolean;
  /** Whether it is a gateway of a segment too; one that is not is a witness */
  gateway: boolean;
  /** Name of the peer */
  name: string;
  /** Round trip of its last answer in milliseconds; 0: unknown, or this peer */
  rtt_ms: number;
  /** Seconds since its last answer, when it does not answer; left out: it never has */
  silent_s?: number;
  /** learns: it is being added, and follows without a vote */
  state: "votes" | "learns";
}

export interface Voters {
  /** Number of the set of voters and timers that leases are asked for under */
  generation: number;
  /** Whether this peer is one of them. If not, it knows who they are and nothing of what follows */
  here: boolean;
  /** The voter through which decisions go just now; left out while there is none */
  leader?: string;
  /** Whether a majority answers, without which no gateway may be active */
  quorum: boolean;
  /** How many of those that answer may fall silent before that is so */
  spare: number;
  /** By name */
  voters: Voter[];
}

/** What a GET answers, and streams when asked to. */
export interface Reads {
  "/access-tokens": AccessToken[]; // API tokens: one's own, or all for an admin
  "/account": User; // The user who asks
  "/alerts": Alert[]; // What is wrong just now, the worst first
  "/alerts/sinks": AlertSink[]; // Who is told of events, and how that goes on this peer
  "/audit": AuditRecord[]; // Changes that were made or tried on this peer, the newest first
  "/certificate": Certificate; // The certificate of this peer
  "/config": ConfigVersion; // The network configuration in force
  "/config/diff": ConfigDiff; // How two versions differ
  "/config/export": Record<string, unknown>; // The configuration as a file
  "/config/versions": ConfigHistory; // Its history, the newest first
  "/config/versions/{n}": ConfigVersion; // One version
  "/config/versions/{n}/applied": ConfigApplied; // Which peers go by a version
  "/disks": Disks; // The disks of this appliance, and to which of them its system could be written
  "/drills": DrillReport[]; // Reports of rehearsals, the newest first
  "/events": Event[]; // What happened, oldest first
  "/first-run": FirstRunCode; // The one-time code
  "/ipam/addresses": Address[]; // Addresses that are not free
  "/ipam/addresses/{address}": AddressWhy; // Why an address is as it is
  "/ipam/export": (Record<string, unknown>)[]; // Addresses of all peers that guests have, as a file
  "/ipam/inheritance/{peer}": Inheritance; // What is inherited, and by whom, when a peer is forgotten
  "/ipam/subnets": Subnet[]; // Subnets that addresses are given from, and who owns which part
  "/ipam/suggestion": SubnetSuggestion; // A subnet that no peer has routes to or neighbours in
  "/links": Link[]; // Connections to adjacent peers
  "/loops": Loops; // Frames that come round, and between which ports
  "/macs": MAC[]; // Where every station is
  "/macs/{mac}/story": MACStory[]; // Where a station was before, and why frames go where they go
  "/oidc": Issuer; // The issuer by which people can log in, too
  "/operations": Operation[]; // What takes its time, the newest first
  "/operations/{id}": Operation; // How an operation stands
  "/peers": Peer[]; // All peers of the network, this one first
  "/ports": Port[]; // Attachments of this peer
  "/rollout": Rollout; // The rolling update that goes on, whichever peer coordinates it, or the last one
  "/rollouts": Rollout[]; // The roll-outs that are known, one for each peer that coordinates or coordinated one: what goes on first
  "/routes": Routes; // How frames leave this peer
  "/segments": Segment[]; // Segments and who bridges them, the same on every peer
  "/segments/{segment}/gate": SegmentGate; // How this peer's gate of a segment stands
  "/segments/{segment}/mode": SegmentMode; // This peer's part in a segment
  "/session": SessionInfo; // Who asks; anybody may
  "/sessions": Session[]; // Log ins on this peer: one's own, or all for an admin
  "/status": Status; // This peer at a glance
  "/takeovers": Takeover[]; // How ready every gateway is to take over, with each check's value
  "/tokens": Token[]; // Invitations, those that ended included
  "/update": Update; // What is in the slots of this appliance, and which starts next
  "/users": User[]; // Everybody who can log in
  "/users/{name}": User; // One of them
  "/version": Version; // What runs
  "/voters": Voters; // The group that decides, and who of it answers
}

/** Changes: what they take and what they answer. */
export interface Changes {
  "POST /access-tokens": { takes: AccessTokenRequest; gives: NewAccessToken }; // Make an API token
  "DELETE /access-tokens/{id}": { takes: void; gives: void }; // End an API token at once
  "PUT /account/password": { takes: OwnPasswordRequest; gives: void }; // Change one's own password; other sessions end
  "POST /account/totp": { takes: void; gives: TOTPSecret }; // Begin two-factor log in for oneself
  "PUT /account/totp": { takes: TOTPCode; gives: RecoveryCodes }; // Show a code of the app, which ends the beginning; other sessions end
  "POST /account/totp/end": { takes: Confirmation; gives: void }; // End two-factor log in for oneself; other sessions end
  "POST /alerts/sinks/{name}/test": { takes: SinkTestRequest; gives: SinkTest }; // Tell a sink a test at once, and say what it answered
  "DELETE /alerts/{id}/acknowledge": { takes: void; gives: Alert }; // Note that nobody knows of an alert after all
  "POST /alerts/{id}/acknowledge": { takes: AcknowledgeRequest; gives: Alert }; // Note on this peer that somebody knows of an alert, until it ends
  "POST /backup": { takes: BackupRequest; gives: void }; // Encrypted backup of this peer: identity, keys, node file, users, tokens, addresses, the network's configuration
  "PUT /certificate": { takes: CertificateRequest; gives: Certificate }; // Replace the certificate; shown from the next connection on
  "PUT /certificate/acme": { takes: ACMERequest; gives: Certificate }; // Have an ACME authority give certificates
  "POST /certificate/renew": { takes: void; gives: Certificate }; // Make a new certificate that is signed by itself
  "PUT /config": { takes: ConfigChange; gives: ConfigVersion }; // Change the network configuration
  "POST /config/check": { takes: ConfigChange; gives: ConfigCheck }; // What is wrong with a configuration, and what it would change
  "POST /config/import": { takes: unknown; gives: ConfigVersion }; // Change the network configuration to that of a file, in either form
  "POST /config/rollback": { takes: ConfigRollback; gives: ConfigVersion }; // Go back to an earlier version, by a new one
  "POST /config/versions/{n}/confirm": { takes: ConfigConfirm; gives: ConfigVersion }; // Keep a version that waits for it
  "POST /disks/install": { takes: InstallRequest; gives: Operation }; // Write the system of this appliance to another disk, without identity and keys; everything on that is erased
  "POST /factory-reset": { takes: ResetRequest; gives: Reset }; // Erase identity, keys, users and configuration of this appliance, and start it anew; its segments are handed over first
  "POST /first-run": { takes: FirstRunRequest; gives: void }; // Make the first admin with the one-time code, and log in; anybody may
  "POST /flush": { takes: FlushRequest; gives: Operation }; // Forget where stations are, on all peers; an empty request forgets all
  "POST /ipam/allocate": { takes: AddressRequest; gives: Address }; // Give an owner an address
  "POST /ipam/donate": { takes: AddressDonation; gives: AddressGift }; // Give free address space of this peer to another: all that was asked for, or none
  "POST /ipam/forget": { takes: AddressForget; gives: Inheritance }; // End a peer's part in giving out addresses, after it lost its state file; its space is inherited
  "POST /ipam/import": { takes: unknown; gives: AddressImport }; // Give all addresses of a file (CSV or JSON, with at least address and owner), or none if anything is wrong with it
  "POST /ipam/release": { takes: AddressRelease; gives: void }; // Free an address
  "POST /login": { takes: LoginRequest; gives: void }; // Begin a session, kept in a cookie; anybody may
  "POST /logout": { takes: void; gives: void }; // End the session
  "POST /macs/flush": { takes: Flush; gives: Flushed }; // Forget where stations are; an empty request forgets all
  "DELETE /oidc": { takes: void; gives: void }; // Have no issuer; sessions that it vouched for end
  "PUT /oidc": { takes: Issuer; gives: void }; // Set the issuer; sessions that it vouched for end
  "DELETE /peers/{name}": { takes: void; gives: void }; // Remove a peer from the network for good
  "POST /peers/{name}/maintenance": { takes: MaintenanceRequest; gives: Operation }; // Send a gateway into maintenance, or back
  "POST /ports/{name}/clear": { takes: ClearRequest; gives: void }; // Let a port listen again that ALONE blocked; what is still on the wire blocks it again
  "POST /restart": { takes: ByRequest; gives: Operation }; // Start this peer's daemon again; its segments are handed over first
  "POST /rollout": { takes: RolloutRequest; gives: Rollout }; // Update peers one after the other: passive gateways first, a planned switchover before an active one
  "POST /rollout/abort": { takes: ByRequest; gives: Rollout }; // End a rolling update; the peer that coordinates it is asked, and peers that are updated stay so
  "POST /rollout/bundle": { takes: unknown; gives: Rollout }; // Update appliances one after the other by a signed bundle, the body of the request, which the peer that is asked keeps and sends to each
  "POST /rollout/resume": { takes: ByRequest; gives: Rollout }; // Go on with a rolling update that is paused; the peer that coordinates it is asked
  "POST /segments/{segment}/drill": { takes: DrillRequest; gives: Operation }; // Rehearse a switchover there and back, and measure it
  "POST /segments/{segment}/gate": { takes: GateRequest; gives: SegmentGate }; // Open or shut this peer's gate by hand, in mode active-manual
  "POST /segments/{segment}/mode": { takes: ModeRequest; gives: SegmentMode }; // Change this peer's part in a segment until it stops
  "POST /segments/{segment}/switchover": { takes: SwitchoverRequest; gives: Operation }; // Move a segment to another gateway
  "POST /sessions/end-others": { takes: void; gives: Ended }; // End one's own sessions but this one
  "DELETE /sessions/{id}": { takes: void; gives: void }; // End a session at once
  "POST /tokens": { takes: TokenRequest; gives: NewToken }; // Invite a peer
  "DELETE /tokens/{id}": { takes: void; gives: void }; // Make a token useless; peers that joined by it stay
  "POST /update/bundle": { takes: unknown; gives: Operation }; // Install a signed bundle, the body of the request, in the idle slot of an appliance
  "POST /update/fetch": { takes: FetchRequest; gives: Operation }; // Have an appliance fetch a signed bundle and install it in its idle slot
  "POST /update/restart": { takes: ByRequest; gives: void }; // Start this appliance's machine again; its segments are handed over first
  "POST /update/rollback": { takes: ByRequest; gives: Update }; // Start the other slot from now on
  "POST /users": { takes: UserRequest; gives: User }; // Make a user
  "DELETE /users/{name}": { takes: void; gives: void }; // Remove a user with their sessions and tokens
  "PATCH /users/{name}": { takes: UserChange; gives: User }; // Change role or disabled
  "PUT /users/{name}/password": { takes: PasswordRequest; gives: void }; // Give a user a password; their sessions end
  "DELETE /users/{name}/totp": { takes: void; gives: void }; // End two-factor log in of a user who lost the phone
  "POST /users/{name}/totp": { takes: void; gives: TOTPSecret }; // Begin two-factor log in for a user
  "PUT /users/{name}/totp": { takes: TOTPCode; gives: RecoveryCodes }; // Show a code of the app, which ends the beginning
}

/** Answers that are no JSON. */
export type Downloads = | "/capture" | "/diag" | "/oidc/callback" | "/oidc/start";
