-- Wireshark dissector for Drawbridge: datagrams between peers (docs/protocol/data.md), lease messages
-- (docs/protocol/lease.md) and ALONE frames (docs/protocol/alone.md). Wireshark 3.6 or later.
--
-- What is sealed stays sealed: of data datagrams the clear header shows, and all of it only on links that are configured
-- with cipher "none", which it knows by their tag of zeros. Lease messages and ALONE frames are authenticated but not
-- secret, and show whole; their tags are not verified. The control link on TCP port 6630 is TLS, and is handed to that
-- dissector.

local zeros = string.rep("\0", 16)

local function epoch(range)
  return string.format("%d.%d", range(0, 4):uint(), range(4, 4):uint())
end

-- add puts a field over a range and, where its value has a name, the name behind it.
local function add(tree, field, range, names)
  local item = tree:add(field, range)
  if names then
    local name = names[range:uint()]
    if name then item:append_text(" (" .. name .. ")") end
  end
  return item
end

----------------------------------------------------------------------------------------------------------------------
-- Data

local data = Proto("drawbridge", "Drawbridge data")
local data_kinds = { [1] = "frame", [2] = "heartbeat", [3] = "bundle" }
local offload_types = { [0] = "none", [1] = "TCP/IPv4", [4] = "TCP/IPv6", [5] = "UDP" }

local d = {
  version = ProtoField.uint8("drawbridge.version", "Version", base.DEC, nil, 0xf0),
  kind = ProtoField.uint8("drawbridge.kind", "Kind", base.DEC, data_kinds, 0x0f),
  key = ProtoField.uint32("drawbridge.key", "Key index", base.HEX),
  thread = ProtoField.uint8("drawbridge.thread", "Thread of the sender", base.DEC),
  counter = ProtoField.uint64("drawbridge.counter", "Counter", base.DEC),
  sealed = ProtoField.bytes("drawbridge.sealed", "Sealed"),
  tag = ProtoField.bytes("drawbridge.tag", "Tag"),
  open = ProtoField.bool("drawbridge.open", "Cipher none: not sealed at all"),
  payload = ProtoField.bytes("drawbridge.payload", "Payload of a piece"),
  headers = ProtoField.bytes("drawbridge.headers", "Headers of the whole"),
  index = ProtoField.uint8("drawbridge.piece.index", "Index of the piece", base.DEC),
  total = ProtoField.uint8("drawbridge.piece.total", "Pieces", base.DEC),
  header_len = ProtoField.uint8("drawbridge.piece.header_len", "Length of the headers", base.DEC),
  size = ProtoField.uint16("drawbridge.segment_size", "Segment size", base.DEC),
  owed = ProtoField.uint8("drawbridge.offload", "Offload owed", base.HEX),
  owed_type = ProtoField.uint8("drawbridge.offload.type", "Type", base.DEC, offload_types, 0x07),
  start = ProtoField.uint8("drawbridge.checksum_start", "Checksum start", base.DEC),
  segment = ProtoField.uint32("drawbridge.segment", "Segment", base.HEX),
  epoch = ProtoField.string("drawbridge.epoch", "Epoch"),
  destination = ProtoField.uint32("drawbridge.destination", "Destination peer", base.HEX),
  sequence = ProtoField.uint32("drawbridge.sequence", "Sequence of the origin", base.DEC),
  origin = ProtoField.uint32("drawbridge.origin", "Origin peer", base.HEX),
  vni = ProtoField.uint24("drawbridge.vni", "VNI", base.DEC),
  hops = ProtoField.uint8("drawbridge.hops", "Hops left", base.DEC),
  flags = ProtoField.uint8("drawbridge.flags", "Flags", base.HEX),
  is_piece = ProtoField.bool("drawbridge.flags.piece", "A piece of a frame", 8, nil, 0x01),
  is_relayed = ProtoField.bool("drawbridge.flags.destination", "Goes beyond the receiver", 8, nil, 0x02),
  is_segment = ProtoField.bool("drawbridge.flags.segment", "Captured on a segment", 8, nil, 0x04),
  is_owed = ProtoField.bool("drawbridge.flags.offload", "Checksum or segmentation owed", 8, nil, 0x08),
  is_sized = ProtoField.bool("drawbridge.flags.segment_size", "Segment size given", 8, nil, 0x10),
  is_flood = ProtoField.bool("drawbridge.flags.flood", "Flood", 8, nil, 0x20),
  is_marked = ProtoField.bool("drawbridge.flags.mark", "Pass it to every neighbour", 8, nil, 0x40),
  hb_sequence = ProtoField.uint32("drawbridge.heartbeat.sequence", "Sequence", base.DEC),
  hb_sent = ProtoField.uint64("drawbridge.heartbeat.sent", "Sent, us", base.DEC),
  hb_echo = ProtoField.uint64("drawbridge.heartbeat.echo", "Echo, us", base.DEC),
  hb_held = ProtoField.uint32("drawbridge.heartbeat.held", "Held, us", base.DEC),
  hb_largest = ProtoField.uint16("drawbridge.heartbeat.largest", "Largest datagram heard", base.DEC),
  hb_lost = ProtoField.uint8("drawbridge.heartbeat.lost", "Lost, 255ths", base.DEC),
  length = ProtoField.uint16("drawbridge.bundle.length", "Length", base.DEC),
}
data.fields = d

local malformed = ProtoExpert.new("drawbridge.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
data.experts = { malformed }
data.prefs.port = Pref.uint("UDP and TCP port of the mesh", 6630)

local ethernet = Dissector.get("eth_withoutfcs")

local function bit_set(value, mask) return math.floor(value / mask) % 2 == 1 end

-- meta reads what stands at the end of a plain text, backwards, and shows it. It returns the rest and the flags.
local function meta(plain, tree)
  local n = plain:len()
  if n < 13 then return nil end
  local flags = plain(n - 1, 1):uint()
  local at = n - 13
  local t = tree:add(data, plain(at, 13), "Meta")
  t:add(d.sequence, plain(at, 4))
  t:add(d.origin, plain(at + 4, 4))
  t:add(d.vni, plain(at + 8, 3))
  t:add(d.hops, plain(at + 11, 1))
  local f = t:add(d.flags, plain(at + 12, 1))
  for _, x in ipairs({ d.is_piece, d.is_relayed, d.is_segment, d.is_owed, d.is_sized, d.is_flood, d.is_marked }) do
    f:add(x, plain(at + 12, 1))
  end
  local function part(len)
    at = at - len
    return at >= 0
  end
  if bit_set(flags, 0x02) then
    if not part(4) then return nil end
    t:add(d.destination, plain(at, 4))
  end
  if bit_set(flags, 0x04) then
    if not part(12) then return nil end
    t:add(d.segment, plain(at, 4))
    t:add(d.epoch, plain(at + 4, 8), epoch(plain(at + 4, 8)))
  end
  if bit_set(flags, 0x08) then
    if not part(2) then return nil end
    t:add(d.owed, plain(at, 1)):add(d.owed_type, plain(at, 1))
    t:add(d.start, plain(at + 1, 1))
  end
  if bit_set(flags, 0x10) then
    if not part(2) then return nil end
    t:add(d.size, plain(at, 2))
  end
  local headers = 0
  if bit_set(flags, 0x01) then
    if not part(3) then return nil end
    t:add(d.index, plain(at, 1))
    t:add(d.total, plain(at + 1, 1))
    t:add(d.header_len, plain(at + 2, 1))
    headers = plain(at + 2, 1):uint()
  end
  if headers > at then return nil end
  return at, bit_set(flags, 0x01), headers
end

-- frame shows the plain text of a frame, and the frame itself when it is whole.
local function frame(plain, pinfo, tree, root)
  local at, piece, headers = meta(plain, tree)
  if not at then
    tree:add_proto_expert_info(malformed, "The parts that the flags announce do not fit")
    return
  end
  if piece then
    if at > headers then tree:add(d.payload, plain(0, at - headers)) end
    if headers > 0 then tree:add(d.headers, plain(at - headers, headers)) end
  elseif at >= 14 then
    local info = tostring(pinfo.cols.info)
    ethernet:call(plain(0, at):tvb(), pinfo, root)
    pinfo.cols.protocol = "Drawbridge"
    pinfo.cols.info = info
  end
end

local function heartbeat(plain, tree)
  if plain:len() < 27 then
    tree:add_proto_expert_info(malformed, "A heartbeat has 27 octets at least")
    return
  end
  tree:add(d.hb_sequence, plain(0, 4))
  tree:add(d.hb_sent, plain(4, 8))
  tree:add(d.hb_echo, plain(12, 8))
  tree:add(d.hb_held, plain(20, 4))
  tree:add(d.hb_largest, plain(24, 2))
  tree:add(d.hb_lost, plain(26, 1))
end

local function bundle(plain, pinfo, tree, root)
  local at, n = 0, plain:len()
  while at + 2 <= n do
    local len = plain(at, 2):uint()
    if len == 0 then break end
    if at + 2 + len > n then
      tree:add_proto_expert_info(malformed, "A length beyond the end of the bundle")
      return
    end
    local t = tree:add(data, plain(at, 2 + len), "Frame of the bundle")
    t:add(d.length, plain(at, 2))
    frame(plain(at + 2, len), pinfo, t, root)
    at = at + 2 + len
  end
end

function data.dissector(buffer, pinfo, root)
  local n = buffer:len()
  if n < 11 + 16 then return 0 end
  local kind = buffer(0, 1):uint() % 16
  pinfo.cols.protocol = "Drawbridge"
  pinfo.cols.info = string.format("%s, key %08x, thread %d, counter %s", data_kinds[kind] or "unknown kind",
    buffer(1, 4):uint(), buffer(5, 1):uint(), buffer(6, 5):uint64())
  local tree = root:add(data, buffer())
  tree:add(d.version, buffer(0, 1))
  tree:add(d.kind, buffer(0, 1))
  tree:add(d.key, buffer(1, 4))
  tree:add(d.thread, buffer(5, 1))
  tree:add(d.counter, buffer(6, 5), buffer(6, 5):uint64())
  if math.floor(buffer(0, 1):uint() / 16) ~= 1 then
    tree:add_proto_expert_info(malformed, "Another version than 1")
    return n
  end
  local open = buffer(n - 16, 16):raw() == zeros
  if open then
    tree:add(d.open, true):set_generated()
    if n > 27 then
      local plain = buffer(11, n - 27)
      if kind == 1 then
        frame(plain, pinfo, tree, root)
      elseif kind == 2 then
        heartbeat(plain, tree)
      elseif kind == 3 then
        bundle(plain, pinfo, tree, root)
      end
    end
  elseif n > 27 then
    tree:add(d.sealed, buffer(11, n - 27))
  end
  tree:add(d.tag, buffer(n - 16, 16))
  return n
end

----------------------------------------------------------------------------------------------------------------------
-- Lease

local lease = Proto("drawbridge_lease", "Drawbridge lease")
local classes = { [1] = "request", [2] = "answer", [3] = "challenge" }
local entry_kinds = { [1] = "ask", [2] = "renew", [3] = "release", [4] = "probe", [5] = "renewals", [17] = "grant", [18] = "refuse", [20] = "echo", [21] = "grants" }
local is_list = { [5] = true, [21] = true }
local reasons = { [0] = "none", [1] = "starting", [2] = "generation", [3] = "promised", [4] = "epoch", [5] = "term", [6] = "unfit" }

local l = {
  version = ProtoField.uint8("drawbridge.lease.version", "Version", base.DEC),
  class = ProtoField.uint8("drawbridge.lease.class", "Class", base.DEC, classes),
  count = ProtoField.uint16("drawbridge.lease.count", "Entries", base.DEC),
  sender = ProtoField.uint32("drawbridge.lease.sender", "Sender", base.HEX),
  receiver = ProtoField.uint32("drawbridge.lease.receiver", "Receiver", base.HEX),
  generation = ProtoField.uint32("drawbridge.lease.generation", "Generation", base.DEC),
  floor = ProtoField.uint32("drawbridge.lease.floor", "Floor", base.DEC),
  session = ProtoField.uint64("drawbridge.lease.session", "Session", base.HEX),
  token = ProtoField.uint64("drawbridge.lease.token", "Token", base.HEX),
  offer = ProtoField.uint64("drawbridge.lease.offer", "Offer", base.HEX),
  sequence = ProtoField.uint64("drawbridge.lease.sequence", "Sequence", base.DEC),
  stamp = ProtoField.uint64("drawbridge.lease.stamp", "Stamp of the asker, ns", base.DEC),
  clock = ProtoField.uint64("drawbridge.lease.clock", "Clock of the answerer, ns", base.DEC),
  tag = ProtoField.bytes("drawbridge.lease.tag", "MAC"),
  kind = ProtoField.uint8("drawbridge.lease.kind", "Kind", base.DEC, entry_kinds),
  reason = ProtoField.uint8("drawbridge.lease.reason", "Reason", base.DEC, reasons),
  flags = ProtoField.uint16("drawbridge.lease.flags", "Flags", base.HEX),
  tenure = ProtoField.bool("drawbridge.lease.flags.tenure", "In the way is a tenure that was renewed", 16, nil, 0x0001),
  lists = ProtoField.bool("drawbridge.lease.flags.lists", "The sender reads lists", 16, nil, 0x0002),
  segment = ProtoField.uint32("drawbridge.lease.segment", "Segment", base.HEX),
  epoch = ProtoField.string("drawbridge.lease.epoch", "Epoch"),
  micros = ProtoField.uint32("drawbridge.lease.micros", "Time, us", base.DEC),
  peer = ProtoField.uint32("drawbridge.lease.peer", "Promised to, or heir", base.HEX),
  more = ProtoField.uint32("drawbridge.lease.more", "More in the list", base.DEC),
  seen = ProtoField.string("drawbridge.lease.seen", "Highest epoch seen"),
}
lease.fields = l
local bad_lease = ProtoExpert.new("drawbridge.lease.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
lease.experts = { bad_lease }
lease.prefs.port = Pref.uint("UDP port of leases", 6631)

local function entry(range, tree)
  local kind = range(0, 1):uint()
  local name = entry_kinds[kind] or ("kind " .. kind)
  local what = name .. " " .. epoch(range(8, 8))
  if kind == 18 then what = what .. " (" .. (reasons[range(1, 1):uint()] or "?") .. ")" end
  local t = tree:add(lease, range, "Entry: " .. what)
  t:add(l.kind, range(0, 1))
  t:add(l.reason, range(1, 1))
  local flags = t:add(l.flags, range(2, 2))
  flags:add(l.tenure, range(2, 2))
  flags:add(l.lists, range(2, 2))
  t:add(l.segment, range(4, 4))
  t:add(l.epoch, range(8, 8), epoch(range(8, 8)))
  t:add(l.micros, range(16, 4))
  t:add(is_list[kind] and l.more or l.peer, range(20, 4))
  t:add(l.seen, range(24, 8), epoch(range(24, 8)))
  return what
end

-- listed shows what follows the first of a list, and answers how many octets that takes.
local function listed(range, tree, more)
  for i = 0, more - 1 do
    local t = tree:add(lease, range(12 * i, 12), "Also " .. epoch(range(12 * i + 4, 8)))
    t:add(l.segment, range(12 * i, 4))
    t:add(l.epoch, range(12 * i + 4, 8), epoch(range(12 * i + 4, 8)))
  end
  return math.ceil(12 * more / 32) * 32
end

function lease.dissector(buffer, pinfo, root)
  local n = buffer:len()
  if n < 72 + 16 then return 0 end
  pinfo.cols.protocol = "DB lease"
  local tree = root:add(lease, buffer())
  tree:add(l.version, buffer(0, 1))
  tree:add(l.class, buffer(1, 1))
  tree:add(l.count, buffer(2, 2))
  tree:add(l.sender, buffer(4, 4))
  tree:add(l.receiver, buffer(8, 4))
  tree:add(l.generation, buffer(12, 4))
  tree:add(l.floor, buffer(16, 4))
  for i, field in ipairs({ l.session, l.token, l.offer, l.sequence, l.stamp, l.clock }) do
    tree:add(field, buffer(16 + 8 * i, 8))
  end
  local info = string.format("%s %08x > %08x", classes[buffer(1, 1):uint()] or "unknown class", buffer(4, 4):uint(), buffer(8, 4):uint())
  if buffer(0, 1):uint() ~= 1 then
    tree:add_proto_expert_info(bad_lease, "Another version than 1")
    pinfo.cols.info = info
    return n
  end
  local count = buffer(2, 2):uint()
  if n ~= 72 + 32 * count + 16 then
    tree:add_proto_expert_info(bad_lease, string.format("%d octets do not hold %d entries", n, count))
    pinfo.cols.info = info
    return n
  end
  local at, last = 72, n - 16
  while at < last do
    local kind, more = buffer(at, 1):uint(), buffer(at + 20, 4):uint()
    info = info .. ", " .. entry(buffer(at, 32), tree)
    at = at + 32
    if is_list[kind] then
      if 12 * more > last - at then
        tree:add_proto_expert_info(bad_lease, string.format("%d octets do not hold %d more of a list", last - at, more))
        break
      end
      info = info .. string.format(" and %d more", more)
      if more > 0 then at = at + listed(buffer(at, last - at), tree, more) end
    end
  end
  tree:add(l.tag, buffer(n - 16, 16))
  pinfo.cols.info = info
  return n
end

----------------------------------------------------------------------------------------------------------------------
-- ALONE

local alone = Proto("drawbridge_alone", "ALONE")
local alone_kinds = { [1] = "HELLO", [2] = "LOOP", [3] = "CLOSE", [4] = "ANNOUNCE-DONE" }
local states = { [0] = "INIT", [1] = "LISTEN", [2] = "PASSIVE", [3] = "ACTIVE", [4] = "DRAIN", [5] = "BLOCKED", [6] = "FENCED" }

local a = {
  version = ProtoField.uint8("drawbridge.alone.version", "Version", base.DEC),
  kind = ProtoField.uint8("drawbridge.alone.kind", "Kind", base.DEC, alone_kinds),
  state = ProtoField.uint8("drawbridge.alone.state", "State", base.DEC, states),
  score = ProtoField.uint8("drawbridge.alone.score", "Score", base.DEC),
  network = ProtoField.bytes("drawbridge.alone.network", "Network"),
  peer = ProtoField.uint32("drawbridge.alone.peer", "Peer", base.HEX),
  boot = ProtoField.uint32("drawbridge.alone.boot", "Boot counter", base.DEC),
  port = ProtoField.uint32("drawbridge.alone.port", "Port", base.HEX),
  guest = ProtoField.bool("drawbridge.alone.port.guest", "Guest port", 32, nil, 0x80000000),
  segment = ProtoField.uint32("drawbridge.alone.segment", "Segment", base.HEX),
  epoch = ProtoField.string("drawbridge.alone.epoch", "Epoch"),
  sequence = ProtoField.uint64("drawbridge.alone.sequence", "Sequence", base.DEC),
  clock = ProtoField.uint64("drawbridge.alone.clock", "Clock, us", base.DEC),
  nonce = ProtoField.uint64("drawbridge.alone.nonce", "Nonce", base.HEX),
  interval = ProtoField.uint16("drawbridge.alone.interval", "Hello interval, ms", base.DEC),
  dead = ProtoField.uint16("drawbridge.alone.dead", "Dead after, ms", base.DEC),
  injected = ProtoField.uint32("drawbridge.alone.injected", "Frames injected", base.DEC),
  captured = ProtoField.uint32("drawbridge.alone.captured", "Frames captured", base.DEC),
  neighbours = ProtoField.uint8("drawbridge.alone.neighbours", "Neighbours", base.DEC),
  neighbour = ProtoField.uint32("drawbridge.alone.neighbour", "Neighbour", base.HEX),
  age = ProtoField.uint32("drawbridge.alone.neighbour.age", "Heard, ms ago", base.DEC),
  tag = ProtoField.bytes("drawbridge.alone.tag", "Tag"),
}
alone.fields = a
local bad_alone = ProtoExpert.new("drawbridge.alone.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
alone.experts = { bad_alone }
alone.prefs.ethertype = Pref.uint("EtherType", 0x88b6)

function alone.dissector(buffer, pinfo, root)
  local n = buffer:len()
  if n < 8 or buffer(0, 4):string() ~= "ALNE" then return 0 end
  pinfo.cols.protocol = "ALONE"
  local tree = root:add(alone, buffer(0, math.min(n, 128)))
  tree:add(a.version, buffer(4, 1))
  if buffer(4, 1):uint() ~= 1 or n < 128 then
    tree:add_proto_expert_info(bad_alone, n < 128 and "Shorter than 128 octets" or "Another version than 1")
    pinfo.cols.info = "ALONE, not understood"
    return n
  end
  local kind, state = buffer(5, 1):uint(), buffer(6, 1):uint()
  tree:add(a.kind, buffer(5, 1))
  tree:add(a.state, buffer(6, 1))
  tree:add(a.score, buffer(7, 1))
  tree:add(a.network, buffer(8, 8))
  tree:add(a.peer, buffer(16, 4))
  tree:add(a.boot, buffer(24, 4))
  tree:add(a.port, buffer(28, 4)):add(a.guest, buffer(28, 4))
  tree:add(a.segment, buffer(32, 4))
  tree:add(a.epoch, buffer(40, 8), epoch(buffer(40, 8)))
  tree:add(a.sequence, buffer(48, 8))
  if kind == 2 then
    tree:add(a.nonce, buffer(56, 8))
  else
    tree:add(a.clock, buffer(56, 8))
  end
  tree:add(a.interval, buffer(64, 2))
  tree:add(a.dead, buffer(66, 2))
  tree:add(a.injected, buffer(68, 4))
  tree:add(a.captured, buffer(72, 4))
  local count = buffer(76, 1):uint()
  tree:add(a.neighbours, buffer(76, 1))
  if count > 4 then
    tree:add_proto_expert_info(bad_alone, "More than 4 neighbours")
    count = 4
  end
  for i = 0, count - 1 do
    tree:add(a.neighbour, buffer(80 + 8 * i, 4)):add(a.age, buffer(84 + 8 * i, 4))
  end
  tree:add(a.tag, buffer(112, 16))
  local info = string.format("%s %s, peer %08x port %x", alone_kinds[kind] or "unknown kind", states[state] or "?",
    buffer(16, 4):uint(), buffer(28, 4):uint())
  if state == 3 or state == 4 then info = info .. ", epoch " .. epoch(buffer(40, 8)) end
  pinfo.cols.info = info
  return n
end

----------------------------------------------------------------------------------------------------------------------
-- Where they are found; the ports and the EtherType are preferences of the protocols.

local found = {}

local function at(name, pattern, dissector)
  local key = name .. dissector.name
  if found[key] then DissectorTable.get(name):remove(found[key], dissector.proto) end
  DissectorTable.get(name):add(pattern, dissector.proto)
  found[key] = pattern
end

local tls = Dissector.get("tls")

local function register()
  at("udp.port", data.prefs.port, { name = "data", proto = data })
  at("tcp.port", data.prefs.port, { name = "control", proto = tls })
  at("udp.port", lease.prefs.port, { name = "lease", proto = lease })
  at("ethertype", alone.prefs.ethertype, { name = "alone", proto = alone })
end

data.prefs_changed, lease.prefs_changed, alone.prefs_changed = register, register, register
register()
