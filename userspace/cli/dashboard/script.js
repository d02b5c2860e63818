// Asks the dashboard's server for the tunnel's status and events each second and shows them. Names come from users and
// peers: everything is set as text, nothing is ever parsed as HTML.
"use strict";

const POLL_MS = 1000;
const TIMEOUT_MS = 20000;
const KEEP_MS = 5 * 60 * 1000; // what the curves show, at most
const SPAN_MS = 60 * 1000; // and at least
const MOST_PEERS = 50;
const MOST_EVENTS = 200;

// ---- Numbers for people --------------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat("en");

function rounded(value) {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function bitRate(bits) {
  if (bits === null) return "–";
  if (bits < 1000) return `${Math.round(bits)} bit/s`;
  const units = ["kbit/s", "Mbit/s", "Gbit/s"];
  let unit = 0;
  for (bits /= 1000; bits >= 999.5 && unit < units.length - 1; bits /= 1000) ++unit;
  return `${rounded(bits)} ${units[unit]}`;
}

function milliseconds(us) {
  return us === null || us === undefined ? "–" : `${rounded(us / 1000)} ms`;
}

function percent(fraction) {
  if (fraction === null || fraction === undefined) return "–";
  return fraction > 0 && fraction < 0.0995 ? `${(fraction * 100).toFixed(1)} %` : `${Math.round(fraction * 100)} %`;
}

function ago(seconds) {
  if (seconds === null || seconds === undefined) return null;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

// ---- Elements ------------------------------------------------------------------------------------------------------

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

// Only where it differs, so that a selection stays.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setState(node, state, text = state) {
  node.dataset.state = state;
  setText(node, text);
}

// Makes the children of `container` those of `items`, in order. A child stays for as long as its item's key is there.
function sync(container, items, keyOf, make) {
  const before = container.views ?? new Map();
  container.views = new Map();
  items.forEach((item, index) => {
    let key = keyOf(item);
    while (container.views.has(key)) key += "+";
    const view = before.get(key) ?? make(item);
    container.views.set(key, view);
    if (container.children[index] !== view.root) container.insertBefore(view.root, container.children[index] ?? null);
    view.update(item);
  });
  while (container.children.length > items.length) container.lastChild.remove();
}

// ---- Curves --------------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

class Curves {
  // Up to two curves on one scale that begins at 0 and ends at `least` or above.
  constructor(label, least) {
    this.label = label;
    this.least = least;
    this.root = document.createElementNS(SVG, "svg");
    this.root.setAttribute("viewBox", "0 0 100 24");
    this.root.setAttribute("preserveAspectRatio", "none");
    this.root.setAttribute("role", "img");
    this.title = document.createElementNS(SVG, "title");
    this.root.append(this.title);
    [this.ground, this.second, this.first] = ["ground", "second", "first"].map((name) => {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", name);
      this.root.append(path);
      return path;
    });
    this.ground.setAttribute("d", "M0 24L100 24");
  }

  update(samples, now, texts, describe, first, second) {
    const span = Math.max(SPAN_MS, now - samples[0].time);
    let top = this.least;
    for (const sample of samples) top = Math.max(top, first(sample) ?? 0, second?.(sample) ?? 0);
    this.first.setAttribute("d", this.line(samples, now, span, top, first));
    if (second) this.second.setAttribute("d", this.line(samples, now, span, top, second));
    const minutes = Math.ceil(span / 60000);
    setText(this.title, `${this.label}, the last ${minutes} min: ${describe(top)} at most, ${texts.join(", ")} now`);
  }

  line(samples, now, span, top, valueOf) {
    let drawn = "";
    let pen = "M";
    for (const sample of samples) {
      const value = valueOf(sample);
      if (value === null) {
        pen = "M"; // nothing is known here: a gap
        continue;
      }
      const x = 100 - ((now - sample.time) / span) * 100;
      const y = 23.5 - (value / top) * 22.5;
      drawn += `${pen}${x.toFixed(2)} ${y.toFixed(2)}`;
      pen = "L";
    }
    return drawn;
  }
}

// ---- A path --------------------------------------------------------------------------------------------------------

class PathView {
  constructor() {
    this.samples = [];
    this.uplink = element("h4");
    this.state = element("span", "state");
    this.addresses = element("p", "address");
    this.root = element("article", "card", element("div", "card-head", this.uplink, this.state), this.addresses);
    this.latency = this.measure("Latency", 10, (ms) => milliseconds(ms * 1000));
    this.loss = this.measure("Loss", 0.02, percent, "in", "out");
    this.rate = this.measure("Rate", 10000, bitRate, "in", "out");
    this.shareText = element("span");
    this.shareFill = element("div", "fill");
    const share = element("div", "share", element("span", "", "Won lately"), element("div", "bar", this.shareFill),
                          this.shareText);
    share.title = "Of the packets that this peer sent in the last minutes, those whose copy on this path came first";
    this.root.append(share);
    this.worth = element("dl", "worth");
    this.root.append(this.worth);
    this.figures = {};
    for (const [key, label, meaning] of [
      ["first_packets", "arrived first", "Packets whose copy on this path came first and was delivered"],
      ["only_here", "only here", "At least so many packets came over no other path: what would be missing without this one"],
      ["duplicates_early", "dropped early", "Copies dropped in XDP or the socket filter, before they cost a decryption"],
      ["duplicates_worker", "dropped late", "Copies dropped by the workers"],
      ["late_us", "behind", "How much later than over the fastest path packets come, one way"],
    ]) {
      this.figures[key] = element("dd");
      const row = element("div", "", element("dt", "", label), this.figures[key]);
      row.title = meaning;
      this.worth.append(row);
    }
  }

  measure(label, least, describe, ...names) {
    const curves = new Curves(label, least);
    const rows = names.length === 0 ? [{ value: element("span"), sign: "" }]
      : names.map((name, index) => ({
        value: element("span", index === 0 ? "key-first" : "key-second"),
        sign: name === "in" ? "↓ " : "↑ ",
      }));
    const shown = element("dd");
    for (const { value } of rows) shown.append(element("div", "", value));
    this.root.append(element("dl", "measure", element("dt", "", label), element("dd", "", curves.root), shown));
    return {
      show: (samples, now, texts, first, second) => {
        rows.forEach(({ value, sign }, index) => setText(value, sign + texts[index]));
        curves.update(samples, now, texts, describe, first, second);
      },
    };
  }

  update({ path, now }) {
    this.sample(path, now);
    const last = this.samples[this.samples.length - 1];
    setText(this.uplink, path.uplink_name);
    const notes = [path.state];
    if (path.enabled === false) notes.push("switched off");
    else if (path.sending) notes.push("sending");
    setState(this.state, path.state, notes.join(", "));
    setText(this.addresses, `${path.local} → ${path.remote}`);
    // One that never answered has nothing to show.
    this.root.classList.toggle("quiet", path.state === "probing" && path.first_packets + path.sent_packets === 0);
    this.latency.show(this.samples, now, [last.rtt === null ? "–" : milliseconds(path.rtt_us)], (sample) => sample.rtt);
    this.loss.show(this.samples, now, [percent(last.lossIn), percent(last.lossOut)], (sample) => sample.lossIn,
                   (sample) => sample.lossOut);
    this.rate.show(this.samples, now, [bitRate(last.rateIn), bitRate(last.rateOut)], (sample) => sample.rateIn,
                   (sample) => sample.rateOut);
    for (const [key, node] of Object.entries(this.figures)) {
      setText(node, key === "late_us" ? milliseconds(path.late_us) : whole.format(path[key]));
    }
  }

  // First arrivals in the time that is shown.
  recentFirst() {
    return this.samples[this.samples.length - 1].firstPackets - this.samples[0].firstPackets;
  }

  showShare(ofAll) {
    const share = ofAll > 0 ? this.recentFirst() / ofAll : null;
    this.shareFill.style.width = `${(share ?? 0) * 100}%`;
    setText(this.shareText, percent(share));
  }

  sample(path, now) {
    const before = this.samples[this.samples.length - 1];
    // Counters that went back are those of a new daemon.
    if (before && (path.sent_bytes < before.sentBytes || path.first_bytes < before.firstBytes)) this.samples = [];
    const known = this.samples.length > 0 && now > before.time;
    const rate = (bytes, earlier) => (known ? ((bytes - earlier) * 8000) / (now - before.time) : null);
    const answers = path.state === "active" || path.state === "degraded";
    this.samples.push({
      time: now,
      rtt: answers && path.rtt_us !== null ? path.rtt_us / 1000 : null,
      lossIn: answers ? path.loss_in : null,
      lossOut: answers ? path.loss_out : null,
      rateIn: rate(path.first_bytes, before?.firstBytes),
      rateOut: rate(path.sent_bytes, before?.sentBytes),
      sentBytes: path.sent_bytes,
      firstBytes: path.first_bytes,
      firstPackets: path.first_packets,
    });
    while (now - this.samples[0].time > KEEP_MS) this.samples.shift();
  }
}

// ---- Peers, uplinks, events ----------------------------------------------------------------------------------------

class PeerView {
  constructor() {
    this.name = element("h3");
    this.facts = element("p", "facts-row");
    this.paths = element("div", "cards");
    this.none = element("p", "note", "No path: nothing has been heard of this peer, and no uplink leads to it.");
    this.root = element("section", "peer", element("div", "peer-head", this.name, this.facts), this.none, this.paths);
  }

  update({ peer, now }) {
    setText(this.name, peer.name || peer.public_key);
    const session = ago(peer.session_age_s);
    const facts = [
      session === null ? "no session" : `session for ${session}`,
      `${whole.format(peer.handshakes)} handshake${peer.handshakes === 1 ? "" : "s"}`,
      `policy ${peer.policy}`,
    ];
    if (peer.allowed_ips.length > 0) facts.push(peer.allowed_ips.join(", "));
    setText(this.facts, facts.join(" · "));
    this.none.hidden = peer.paths.length > 0;
    // Those that have never answered come last: often there is no way between these two addresses.
    const paths = peer.paths.slice().sort((a, b) => (a.state === "probing") - (b.state === "probing"));
    sync(this.paths, paths.map((path) => ({ path, now })),
         ({ path }) => `${path.id} ${path.uplink_name} ${path.local} ${path.remote}`, () => new PathView());
    const views = [...this.paths.views.values()];
    const ofAll = views.reduce((sum, view) => sum + view.recentFirst(), 0);
    for (const view of views) view.showShare(ofAll);
  }
}

class UplinkView {
  constructor() {
    this.name = element("h3");
    this.state = element("span", "state");
    this.facts = element("p", "facts-row");
    this.root = element("li", "", element("div", "card-head", this.name, this.state), this.facts);
  }

  update(uplink) {
    setText(this.name, uplink.name);
    setState(this.state, uplink.usable ? "usable" : "down", uplink.usable ? "usable" : "not usable");
    const facts = [uplink.addresses.length > 0 ? uplink.addresses.join(", ") : "no address"];
    if (uplink.mode) facts.push(`receives by ${uplink.mode}`);
    if (uplink.reason) facts.push(uplink.reason);
    if (uplink.metered) facts.push("metered");
    if (uplink.xsk_dropped > 0) facts.push(`${whole.format(uplink.xsk_dropped)} dropped: rings full`);
    setText(this.facts, facts.join(" · "));
  }
}

class EventView {
  constructor(event) {
    const time = element("time", "time", new Date(event.time_ms).toLocaleTimeString("en-GB"));
    time.dateTime = new Date(event.time_ms).toISOString();
    const level = element("span", "level", event.level);
    level.dataset.level = event.level;
    this.root = element("li", "", time, level, element("span", "text", event.text));
  }

  update() {} // an event never changes
}

// ---- The page ------------------------------------------------------------------------------------------------------

const byId = (id) => document.getElementById(id);
let lastStatus = null;
let newestEvent = 0;
let events = [];

function matches(peer, wanted) {
  if (wanted === "") return true;
  const texts = [peer.name, peer.public_key, ...peer.allowed_ips, ...peer.paths.map((path) => path.remote)];
  return texts.some((text) => text.toLowerCase().includes(wanted));
}

function showPeers(status, now) {
  const filter = byId("filter");
  filter.hidden = status.peers.length <= 5;
  const wanted = filter.hidden ? "" : filter.value.trim().toLowerCase();
  const chosen = status.peers.filter((peer) => matches(peer, wanted));
  // Those that are there first; the order among equals stays.
  chosen.sort((a, b) => (b.session_age_s !== null) - (a.session_age_s !== null));
  const shown = chosen.slice(0, MOST_PEERS);
  const note = byId("peers-note");
  note.hidden = shown.length === status.peers.length && shown.length > 0;
  setText(note, status.peers.length === 0 ? "None is configured."
    : `${whole.format(shown.length)} of ${whole.format(status.peers.length)} shown.`);
  sync(byId("peers"), shown.map((peer) => ({ peer, now })), ({ peer }) => peer.public_key, () => new PeerView());
}

function showStatus(status) {
  const now = performance.now();
  // A new daemon numbers its events from 1 again.
  if (lastStatus && status.uptime_s < lastStatus.uptime_s) newestEvent = 0;
  lastStatus = status;
  const paths = status.peers.flatMap((peer) => peer.paths);
  const active = paths.filter((path) => path.state === "active").length;
  setText(byId("name"), status.name);
  setText(byId("summary"), `${active} of ${paths.length} path${paths.length === 1 ? "" : "s"} active`);
  setText(byId("facts"), [status.addresses.join(", "), `MTU ${status.mtu}`, `UDP port ${status.listen_port}`,
                          status.aead].filter(Boolean).join(" · "));
  document.title = `${status.name}: ${active} of ${paths.length} paths`;
  showPeers(status, now);
  sync(byId("uplinks"), status.uplinks, (uplink) => uplink.name, () => new UplinkView());
}

function showEvents(arrived) {
  if (arrived.length === 0) return;
  newestEvent = arrived[arrived.length - 1].number;
  events = [...arrived.slice().reverse(), ...events].slice(0, MOST_EVENTS);
  byId("events-note").hidden = true;
  sync(byId("events"), events, (event) => `${event.number} ${event.time_ms}`, (event) => new EventView(event));
}

function showTrouble(text) {
  const trouble = byId("trouble");
  trouble.hidden = text === null;
  setText(trouble, text ?? "");
  document.body.classList.toggle("stale", text !== null);
}

class Unanswered extends Error {}

async function ask(target) {
  let response;
  try {
    response = await fetch(target, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new Unanswered("The dashboard does not answer: start `centipede dashboard` again and open what it prints.");
  }
  const body = await response.json();
  if (!response.ok) throw new Unanswered(body.error ?? `The dashboard answered with ${response.status}.`);
  return body;
}

async function poll() {
  try {
    showStatus(await ask("v1/status"));
    showEvents((await ask(`v1/events?after=${newestEvent}`)).events);
    showTrouble(null);
  } catch (error) {
    showTrouble(error.message);
    if (!(error instanceof Unanswered)) console.error(error);
  }
  setTimeout(poll, POLL_MS);
}

byId("filter").addEventListener("input", () => lastStatus && showPeers(lastStatus, performance.now()));
poll();
