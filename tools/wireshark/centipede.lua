-- SPDX-License-Identifier: GPL-2.0-only
--
-- Wireshark dissector for the Centipede protocol, version 1 (docs/protocol.md). How to install and use it, with and
-- without keys: docs/wireshark.md. Needs chacha20poly1305.lua beside it.
--
-- What a capture holds is anybody's: nothing is read beyond what was captured, and what breaks a rule of the protocol is
-- shown with an expert information that says which.

local folder = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or ""
local aead = dofile(folder .. "chacha20poly1305.lua")

local centipede = Proto("centipede", "Centipede multipath VPN")

local PORT = 5820
local HEADER_SIZE = 32
local CONTROL_LANE = 127
local SID_NONE = ("\0"):rep(8)

-- Datagrams, by the value of centipede.type. Data packets have no type on the wire: their first byte is the lane.
local DATA, INITIATION, RESPONSE, COOKIE, CONTROL = 0, 1, 2, 3, CONTROL_LANE
local TYPE_NAMES = {
  [DATA] = "Data", [INITIATION] = "Initiation", [RESPONSE] = "Response", [COOKIE] = "Cookie reply", [CONTROL] = "Control",
}
local HEARTBEAT, CLOSE = 1, 2
local FRAME_NAMES = { [HEARTBEAT] = "Heartbeat", [CLOSE] = "Close" }

local f = {
  type = ProtoField.uint8("centipede.type", "Type", base.DEC, TYPE_NAMES),
  version = ProtoField.uint8("centipede.version", "Version"),
  reserved = ProtoField.bytes("centipede.reserved", "Reserved"),
  sid = ProtoField.uint64("centipede.sid", "Session id", base.HEX),
  stream = ProtoField.uint32("centipede.stream", "Stream index", base.DEC, nil, nil, "One for each session id"),
  lane = ProtoField.uint8("centipede.lane", "Lane"),
  counter = ProtoField.uint64("centipede.counter", "Counter"),
  tag = ProtoField.bytes("centipede.tag", "Tag"),
  ciphertext = ProtoField.bytes("centipede.ciphertext", "Ciphertext"),
  copy_of = ProtoField.framenum("centipede.copy_of", "Same number as in frame", base.NONE, frametype.DUP_ACK, 0,
    "A copy over another link, a replay or a forgery"),
  ephemeral = ProtoField.bytes("centipede.ephemeral", "Ephemeral public key"),
  box = ProtoField.bytes("centipede.box", "Encrypted box"),
  mac1 = ProtoField.bytes("centipede.mac1", "mac1"),
  mac2 = ProtoField.bytes("centipede.mac2", "mac2"),
  nonce = ProtoField.bytes("centipede.cookie.nonce", "Nonce"),
  sealed_cookie = ProtoField.bytes("centipede.cookie.sealed", "Sealed cookie"),
  answered_in = ProtoField.framenum("centipede.answered_in", "Answered in frame", base.NONE, frametype.RESPONSE),
  answer_to = ProtoField.framenum("centipede.answer_to", "Answer to the initiation in frame", base.NONE, frametype.REQUEST),
  answer_time = ProtoField.relative_time("centipede.answer_time", "Time since the initiation"),
  peer = ProtoField.string("centipede.peer", "Peer", base.UNICODE, "By the key log"),
  direction = ProtoField.string("centipede.direction", "Direction", base.UNICODE, "Seen from the host that made the key log"),
  frame_type = ProtoField.uint8("centipede.frame.type", "Frame type", base.DEC, FRAME_NAMES),
  path = ProtoField.uint16("centipede.heartbeat.path", "Path id"),
  number = ProtoField.uint32("centipede.heartbeat.number", "Number"),
  send_time = ProtoField.uint64("centipede.heartbeat.send_time", "Send time (us, sender's clock)"),
  echoed_number = ProtoField.uint32("centipede.heartbeat.echoed_number", "Echoed number"),
  echo_delay = ProtoField.uint32("centipede.heartbeat.echo_delay", "Echo delay (us)"),
  token = ProtoField.uint64("centipede.heartbeat.token", "Token", base.HEX),
  token_echo = ProtoField.uint64("centipede.heartbeat.token_echo", "Token echo", base.HEX),
  packets_sent = ProtoField.uint64("centipede.heartbeat.packets_sent", "Data packets sent on the path"),
  packets_received = ProtoField.uint64("centipede.heartbeat.packets_received", "Data packets received on the path"),
  heartbeats_received = ProtoField.uint32("centipede.heartbeat.heartbeats_received", "Heartbeats received on the path"),
  flags = ProtoField.uint8("centipede.heartbeat.flags", "Flags", base.HEX),
  has_echo = ProtoField.bool("centipede.heartbeat.has_echo", "Echo fields are valid", 8, nil, 0x01),
  want_echo = ProtoField.bool("centipede.heartbeat.want_echo", "Answer at once", 8, nil, 0x02),
  backup = ProtoField.bool("centipede.heartbeat.backup", "No data here by itself", 8, nil, 0x04),
}

local fields = {}
for _, field in pairs(f) do
  fields[#fields + 1] = field
end
centipede.fields = fields

local function malformed(name, text)
  return ProtoExpert.new("centipede." .. name, text, expert.group.MALFORMED, expert.severity.ERROR)
end
local e = {
  bad_type = malformed("bad_type", "No message of this protocol"),
  bad_length = malformed("bad_length", "Wrong length"),
  bad_version = malformed("bad_version", "Unknown version"),
  bad_padding = malformed("bad_padding", "Reserved bytes are not zero"),
  bad_counter = malformed("bad_counter", "Counter is not below 2^37"),
  bad_sid = malformed("bad_sid", "Session id is zero"),
  bad_frame = malformed("bad_frame", "Plaintext of the control lane is no frame"),
  bad_inner = malformed("bad_inner", "Plaintext is not exactly one IP packet"),
  bad_tag = ProtoExpert.new("centipede.bad_tag", "Wrong tag: damaged or forged", expert.group.CHECKSUM,
    expert.severity.ERROR),
  cut = ProtoExpert.new("centipede.cut", "Not captured whole", expert.group.UNDECODED, expert.severity.NOTE),
}
local experts = {}
for _, one in pairs(e) do
  experts[#experts + 1] = one
end
centipede.experts = experts

centipede.prefs.keylog = Pref.string("Key log file", "", "What `centipede keylog -o FILE` wrote")

-- The keys of sessions, from the key log: session id (8 bytes) -> { key, iv, peer, direction }. The file may grow while
-- packets are looked at; only what is new is read, and no more than once a second.
local keys = { by_sid = {}, read = 0, path = "", looked = 0 }

local function from_hex(text)
  return (text:gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

local function take_line(line)
  if line:match("^%s*#") or line:match("^%s*$") then return true end
  local sid, key, iv, direction, peer = line:match("^(%x+) (%x+) (%x+) (%a+) ([^\r\n]*)")
  if not sid or #sid ~= 16 or #key ~= 64 or #iv ~= 24 then return false end
  keys.by_sid[from_hex(sid)] = { key = from_hex(key), iv = from_hex(iv), peer = peer, direction = direction }
  return true
end

local function read_new_keys()
  if keys.path ~= centipede.prefs.keylog then
    keys = { by_sid = {}, read = 0, path = centipede.prefs.keylog, looked = 0 }
  end
  if keys.path == "" or keys.looked == os.time() then return end
  local first = keys.looked == 0
  keys.looked = os.time()
  local file, why = io.open(keys.path, "rb")
  if file then
    if file:seek("end") < keys.read then keys.read = 0 end -- another file by now
    file:seek("set", keys.read)
    why = select(2, file:read(0)) -- of a folder
  end
  if why then
    if first then report_failure(("Centipede: cannot read the key log file %s: %s"):format(keys.path, (why:gsub("^.*: ", "")))) end
    return
  end
  local wrong = 0
  while true do
    local line = file:read("*L")
    if not line or line:sub(-1) ~= "\n" then break end -- the end, or half a line that is being written
    keys.read = keys.read + #line
    if not take_line(line) then wrong = wrong + 1 end
  end
  file:close()
  if wrong > 0 then
    report_failure(("Centipede: %d lines of %s are no lines of a key log; `centipede keylog` makes one"):format(wrong, keys.path))
  end
end

local function key_of(sid)
  if keys.path ~= centipede.prefs.keylog or not keys.by_sid[sid] then read_new_keys() end
  return keys.by_sid[sid]
end

-- What earlier packets of this capture have told. Written on the first pass alone.
local streams, stream_count = {}, 0 -- session id -> index
local first_seen = {} -- what makes a datagram the same -> frame
local calls = {} -- session id of an initiation -> { frame, time, answered_in }

function centipede.init()
  streams, stream_count, first_seen, calls = {}, 0, {}, {}
  keys.path = nil -- the file may be another one
end

local function show(tree, field, tvb, offset, size)
  if offset + size <= tvb:len() then return tree:add(field, tvb(offset, size)) end
end

local function show_generated(tree, field, value)
  tree:add(field, value):set_generated(true)
end

local function show_stream(tree, sid, pinfo)
  if not pinfo.visited and not streams[sid] then
    streams[sid] = stream_count
    stream_count = stream_count + 1
  end
  if streams[sid] then show_generated(tree, f.stream, streams[sid]) end
end

-- `identity`: bytes that are equal in all copies of one datagram and in nothing else.
local function show_copy(tree, identity, pinfo)
  if not pinfo.visited and not first_seen[identity] then first_seen[identity] = pinfo.number end
  local first = first_seen[identity]
  if not first or first == pinfo.number then return "" end
  show_generated(tree, f.copy_of, first)
  return (", copy of frame %d"):format(first)
end

local function hex(text)
  return (text:gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end))
end

-- Handshake messages: what stands where, after the type and version.
local LAYOUTS = {
  [INITIATION] = {
    size = 216, same = 200, -- copies differ in mac2
    { f.sid, 8, 8 }, { f.ephemeral, 16, 32 }, { f.box, 48, 136 }, { f.mac1, 184, 16 }, { f.mac2, 200, 16 },
  },
  [RESPONSE] = {
    size = 184, same = 184,
    { f.sid, 8, 8 }, { f.ephemeral, 16, 32 }, { f.box, 48, 104 }, { f.mac1, 152, 16 }, { f.mac2, 168, 16 },
  },
  [COOKIE] = {
    size = 56, same = 56,
    { f.sid, 8, 8 }, { f.nonce, 16, 8 }, { f.sealed_cookie, 24, 16 }, { f.tag, 40, 16 },
  },
}

local function seconds(duration)
  local whole = math.floor(duration)
  return NSTime.new(whole, math.floor((duration - whole) * 1e9 + 0.5))
end

-- Initiations and what answers them, by the session id that the caller chose.
local function show_answers(tree, type, sid, pinfo)
  local call = calls[sid]
  if type == INITIATION then
    if not call and not pinfo.visited then calls[sid] = { frame = pinfo.number, time = pinfo.rel_ts } end
    if call and call.answered_in then show_generated(tree, f.answered_in, call.answered_in) end
  elseif call then
    if type == RESPONSE and not pinfo.visited then call.answered_in = call.answered_in or pinfo.number end
    show_generated(tree, f.answer_to, call.frame)
    if pinfo.rel_ts >= call.time then show_generated(tree, f.answer_time, seconds(pinfo.rel_ts - call.time)) end
  end
end

local function dissect_handshake(tvb, size, pinfo, tree, type)
  local layout = LAYOUTS[type]
  local captured = tvb:len()
  tree:add(f.type, tvb(0, 1), type)
  local version = show(tree, f.version, tvb, 1, 1)
  if version and tvb(1, 1):uint() ~= 1 then version:add_proto_expert_info(e.bad_version) end
  local reserved = show(tree, f.reserved, tvb, 2, 6)
  if reserved and tvb:raw(2, 6) ~= SID_NONE:sub(1, 6) then reserved:add_proto_expert_info(e.bad_padding) end
  for _, entry in ipairs(layout) do
    show(tree, entry[1], tvb, entry[2], entry[3])
  end
  local info = TYPE_NAMES[type]
  if captured >= 16 then
    local sid = tvb:raw(8, 8)
    info = ("%s, sid %s"):format(info, hex(sid))
    if sid == SID_NONE then tree:add_proto_expert_info(e.bad_sid) end
    show_stream(tree, sid, pinfo)
    if captured >= layout.same then info = info .. show_copy(tree, tvb:raw(0, layout.same), pinfo) end
    show_answers(tree, type, sid, pinfo)
  end
  if size ~= layout.size then
    tree:add_proto_expert_info(e.bad_length, ("%d bytes instead of %d"):format(size, layout.size))
    info = info .. ", wrong length"
  end
  return info
end

-- Frames of the control lane; `tvb` is a whole plaintext.
local HEARTBEAT_SIZE, CLOSE_SIZE = 64, 16
local HEARTBEAT_LAYOUT = {
  { f.path, 2, 2 }, { f.number, 4, 4 }, { f.send_time, 8, 8 }, { f.echoed_number, 16, 4 }, { f.echo_delay, 20, 4 },
  { f.token, 24, 8 }, { f.token_echo, 32, 8 }, { f.packets_sent, 40, 8 }, { f.packets_received, 48, 8 },
  { f.heartbeats_received, 56, 4 },
}

local function dissect_heartbeat(tvb, tree)
  for _, entry in ipairs(HEARTBEAT_LAYOUT) do
    show(tree, entry[1], tvb, entry[2], entry[3])
  end
  local flags = tree:add(f.flags, tvb(60, 1))
  for _, flag in ipairs({ f.has_echo, f.want_echo, f.backup }) do
    flags:add(flag, tvb(60, 1))
  end
  local reserved = tree:add(f.reserved, tvb(61, 3))
  if tvb:raw(61, 3) ~= "\0\0\0" then reserved:add_proto_expert_info(e.bad_padding) end
  local info = ("Heartbeat %d of path %d"):format(tvb(4, 4):uint(), tvb(2, 2):uint())
  if tvb(60, 1):uint() % 2 == 1 then info = info .. (", echo of %d"):format(tvb(16, 4):uint()) end
  return info
end

local function dissect_frame(tvb, root)
  local size = tvb:len()
  local tree = root:add(centipede, tvb(), "Centipede frame")
  local type = size >= 2 and tvb(1, 1):uint()
  if type then tree:add(f.frame_type, tvb(1, 1)) end
  if type and tvb(0, 1):uint() == 0 then
    if type == HEARTBEAT and size == HEARTBEAT_SIZE then return dissect_heartbeat(tvb, tree) end
    if type == CLOSE and size == CLOSE_SIZE then
      local reserved = tree:add(f.reserved, tvb(2, 14))
      if tvb:raw(2, 14) ~= ("\0"):rep(14) then reserved:add_proto_expert_info(e.bad_padding) end
      return "Close"
    end
  end
  tree:add_proto_expert_info(e.bad_frame)
  return "no frame"
end

-- The dissector for a plaintext that is exactly one IP packet, or nil.
local function inner_dissector(plain)
  local size = #plain
  local version = size > 0 and math.floor(plain:byte(1) / 16)
  if version == 4 and size >= 20 and plain:byte(3) * 256 + plain:byte(4) == size then return Dissector.get("ip") end
  if version == 6 and size >= 40 and plain:byte(5) * 256 + plain:byte(6) + 40 == size then return Dissector.get("ipv6") end
end

local function open_packet(key, tvb)
  local header = tvb:raw(0, 16)
  local nonce = { key.iv:byte(1, 12) }
  for i = 1, 8 do
    nonce[4 + i] = bit.bxor(nonce[4 + i], header:byte(i))
  end
  local sealed = tvb:len() > HEADER_SIZE and tvb:raw(HEADER_SIZE) or ""
  return aead.open(key.key, string.char(table.unpack(nonce)), header, sealed, tvb:raw(16, 16))
end

-- Returns a text for the column Info, or nil where an IP packet has written its own.
local function dissect_plaintext(plain, lane, pinfo, tree, root)
  local tvb = #plain > 0 and ByteArray.new(plain, true):tvb("Decrypted Centipede packet")
  if lane == CONTROL_LANE then
    if tvb then return dissect_frame(tvb, root) end
    tree:add_proto_expert_info(e.bad_frame)
    return "no frame"
  end
  local inner = inner_dissector(plain)
  if inner then
    inner:call(tvb, pinfo, root)
    return nil
  end
  tree:add_proto_expert_info(e.bad_inner)
  if tvb then Dissector.get("data"):call(tvb, pinfo, root) end
  return "no IP packet"
end

local function counter_in_range(tvb)
  return tvb(1, 2):uint() == 0 and tvb(3, 1):uint() < 0x20
end

-- Returns a text for the column Info, and the plaintext where there is one.
local function dissect_data(tvb, size, pinfo, tree)
  local captured = tvb:len()
  local lane = tvb(0, 1):uint()
  local type = lane == CONTROL_LANE and CONTROL or DATA
  tree:add(f.type, tvb(0, 1), type)
  tree:add(f.lane, tvb(0, 1))
  if size < HEADER_SIZE then
    tree:add_proto_expert_info(e.bad_length, ("%d bytes, less than a header of %d"):format(size, HEADER_SIZE))
    return TYPE_NAMES[type] .. ", too short"
  end
  local counter = show(tree, f.counter, tvb, 1, 7)
  if counter and not counter_in_range(tvb) then counter:add_proto_expert_info(e.bad_counter) end
  show(tree, f.sid, tvb, 8, 8)
  if captured < 16 then return TYPE_NAMES[type] end
  local sid = tvb:raw(8, 8)
  if sid == SID_NONE then tree:add_proto_expert_info(e.bad_sid) end
  local info = ("%s, sid %s, lane %d, counter %s"):format(TYPE_NAMES[type], hex(sid), lane, tostring(tvb(1, 7):uint64()))
  show_stream(tree, sid, pinfo)
  info = info .. show_copy(tree, tvb:raw(0, 16), pinfo)
  show(tree, f.tag, tvb, 16, 16)
  if captured > HEADER_SIZE then tree:add(f.ciphertext, tvb(HEADER_SIZE)) end

  local key = key_of(sid)
  if not key then return info end
  show_generated(tree, f.peer, key.peer)
  show_generated(tree, f.direction, key.direction)
  if captured < size then return info end
  local plain = open_packet(key, tvb)
  if plain then return info, plain end
  tree:add_proto_expert_info(e.bad_tag)
  return info .. ", wrong tag"
end

-- `size`: its length on the wire; less may have been captured.
local function dissect_message(tvb, size, pinfo, root)
  local tree = root:add(centipede, tvb())
  if tvb:len() < size then tree:add_proto_expert_info(e.cut) end
  local first = tvb(0, 1):uint()
  local info, plain
  if first < 0x80 then
    info, plain = dissect_data(tvb, size, pinfo, tree)
  elseif LAYOUTS[first - 0x80] then
    info = dissect_handshake(tvb, size, pinfo, tree, first - 0x80)
  else
    tree:add_proto_expert_info(e.bad_type)
    info = ("No message of this protocol: first byte 0x%02x"):format(first)
  end
  tree:append_text(", " .. info)
  pinfo.cols.info = info
  local inside = plain and dissect_plaintext(plain, first, pinfo, tree, root)
  if inside then pinfo.cols.info = info .. ": " .. inside end
end

-- Where a host segments and joins datagrams (UDP_SEGMENT, UDP_GRO), a capture there has a train of data packets as one.
-- The next header has the lane and the session id of the one before. Offsets count from 0.
local function next_in_train(bytes, at)
  local lane, sid = bytes:sub(at + 1, at + 1), bytes:sub(at + 9, at + 16)
  if lane:byte() >= 0x80 or sid == SID_NONE then return nil end
  local from = at + HEADER_SIZE
  while true do
    local found = bytes:find(sid, from + 9, true)
    if not found then return nil end
    local start = found - 9
    if bytes:sub(start + 1, start + 3) == lane .. "\0\0" then return start end
    from = start + 1
  end
end

function centipede.dissector(tvb, pinfo, root)
  local captured, size = tvb:len(), tvb:reported_len()
  if captured == 0 then return 0 end
  pinfo.cols.protocol = "Centipede"
  local bytes, at = tvb:raw(), 0
  local following = next_in_train(bytes, at)
  while following do
    dissect_message(tvb(at, following - at):tvb(), following - at, pinfo, root)
    at, following = following, next_in_train(bytes, following)
  end
  dissect_message(at == 0 and tvb or tvb(at):tvb(), size - at, pinfo, root)
  return captured
end

-- On another port: handshakes by their length, version and padding, control packets by their length and counter. Both
-- sides of what was found so are ours from then on, and data of its sessions wherever it appears.
local function looks_like_ours(tvb)
  local size = tvb:reported_len()
  if tvb:len() < 16 then return false end
  local first = tvb(0, 1):uint()
  if first >= 0x80 then
    local layout = LAYOUTS[first - 0x80]
    return layout ~= nil and size == layout.size and tvb:raw(1, 7) == "\1\0\0\0\0\0\0"
  end
  local sid = tvb:raw(8, 8)
  if size < HEADER_SIZE or sid == SID_NONE or not counter_in_range(tvb) then return false end
  if streams[sid] or key_of(sid) then return true end
  return first == CONTROL_LANE and (size == HEADER_SIZE + HEARTBEAT_SIZE or size == HEADER_SIZE + CLOSE_SIZE)
end

centipede:register_heuristic("udp", function(tvb, pinfo, root)
  if not looks_like_ours(tvb) then return false end
  pinfo.conversation = centipede
  centipede.dissector(tvb, pinfo, root)
  return true
end)

DissectorTable.get("udp.port"):add(PORT, centipede)
