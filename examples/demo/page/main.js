/**
 * The page of the demo: a visitor who reads, and who may break Redis. It asks the worker once a second what is new, reads by
 * itself every other second, and does neither while nobody looks.
 *
 * @module
 */
import * as server from "./server.js";
import * as view from "./view.js";
import { storyOfBurst, storyOfRead, storyOfSubmission } from "./words.js";

const NEWS_EVERY = 1000;
const READ_EVERY = 2000;
/** The worker may be gone for good: then a question every second is only noise. */
const GONE_EVERY = 5000;
/** How long the story of a submission stays before an automatic read tells its own. */
const STORY_FOR = 8000;
/** How long the reads after a recovery say that it was one. */
const BACK_FOR = 5000;

/** What the page knows. */
const known = {
  learner: "ada",
  /** @type {string | null} */
  fault: "healthy",
  /** When Redis is asked again, by this machine's clock; `null` while it is not left alone. @type {number | null} */
  until: null,
  /** @type {import("./words.js").Outcome | null} */
  outcome: null,
  list: "",
  last: 0,
  gone: false,
  /** The switch that was clicked last, and how many have been carried out. */
  wanted: "",
  switches: 0,
  /** The automatic reads leave the story alone until then. */
  storyUntil: 0,
  /** Redis has come back, and until then that is the news. */
  backUntil: 0,
};

/** One read after the other: an answer must not overtake a newer one. @type {Promise<unknown>} */
let reading = Promise.resolve();
/** @type {Promise<unknown>} */
let switching = Promise.resolve();

/**
 * @param {{ byItself?: boolean }} [options] nobody has asked for it: a screen reader is told only of what is different
 */
function read({ byItself = false } = {}) {
  const next = reading.then(async () => {
    const { learner } = known;
    const answer = await server.readXp(learner);
    // Whether, and until when, Redis is left alone: the story tells.
    if (answer.outcome === "bypass") await refresh();
    // Another learner has been chosen meanwhile, whose own read follows.
    if (learner !== known.learner) return;
    const was = known.outcome;
    known.outcome = answer.outcome;
    const turned = was !== null && (was === "bypass") !== (answer.outcome === "bypass");
    if (turned) known.backUntil = answer.outcome === "bypass" ? 0 : Date.now() + BACK_FOR;
    view.showRead(answer);
    if (byItself && !turned && Date.now() < known.storyUntil) return;
    known.storyUntil = 0;
    const story = storyOfRead({
      ...answer,
      name: firstName(learner),
      fault: known.fault,
      recovered: Date.now() < known.backUntil,
      retryMs: retryMs(),
    });
    view.showStory(story);
    if (!byItself || turned) view.say(`${story.headline} ${answer.xp.banked} XP.`);
  });
  reading = next.catch(() => {});
  return next;
}

async function submit() {
  const { learner } = known;
  const { state } = await server.submitLesson(learner);
  const story = storyOfSubmission({ name: firstName(learner), state, fault: known.fault });
  await read({ byItself: true });
  view.showStory(story);
  known.storyUntil = Date.now() + STORY_FOR;
  view.say(`${story.headline} ${story.why}`);
  await refresh();
}

/**
 * One switch after the other, and the last click counts: who goes through them by keyboard passes some on the way.
 *
 * @param {string} fault
 */
function switchFault(fault) {
  known.wanted = fault;
  const next = switching.then(async () => {
    if (known.wanted !== fault) return;
    await server.switchFault(fault);
    known.switches += 1;
    if (known.wanted !== fault) return;
    known.fault = fault;
    view.showFault(fault);
    known.storyUntil = 0;
    await read();
    await refresh();
  });
  switching = next.catch(() => {});
  return next;
}

async function burst() {
  const report = await server.sendBurst(known.learner);
  const why = storyOfBurst(report, known.fault);
  view.showBurst(report, why);
  view.say(why);
  await refresh();
}

/** What is new: the connection, the counters, the events, the fault. @returns {Promise<void>} */
async function refresh() {
  const { switches } = known;
  const news = await server.news(known.last);
  if (news.list !== known.list) {
    const complete = known.last === 0;
    known.list = news.list;
    known.last = 0;
    view.clearEvents();
    // Another isolate counts from the beginning: what it has said before comes with the next question.
    if (!complete) return refresh();
  }
  known.last = news.last;
  const { until } = news.connection;
  known.until = until === null ? null : Date.now() + (until - news.now);
  // An answer from before the last click knows less than the click.
  const settled = switches === known.switches && (known.wanted === "" || known.wanted === known.fault);
  if (news.demo && news.fault !== known.fault && settled) {
    known.wanted = "";
    known.fault = news.fault;
    view.showFault(news.fault);
  }
  view.showSwitches(news.demo);
  view.showConnection(news.connection, retryMs());
  view.showEvents(news.lines);
}

function retryMs() {
  return known.until === null ? null : known.until - Date.now();
}

/** @param {string} learner */
function firstName(learner) {
  return learner.charAt(0).toUpperCase() + learner.slice(1);
}

/**
 * What a button does: once at a time, and a failure is said. The button keeps its place and its focus meanwhile.
 *
 * @param {string} id
 * @param {() => Promise<unknown>} work
 */
function onClick(id, work) {
  const button = view.element(id);
  button.addEventListener("click", () => {
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    attempt(work).finally(() => {
      button.ariaDisabled = null;
    });
  });
}

/** @param {() => Promise<unknown>} work */
async function attempt(work) {
  try {
    await work();
    known.gone = false;
    view.showGone("");
  } catch (error) {
    known.gone = true;
    view.showGone(error instanceof Error ? error.message : String(error));
  }
}

/**
 * Again and again, while the page is looked at.
 *
 * @param {number} every
 * @param {() => Promise<unknown>} work
 */
async function forever(every, work) {
  for (;;) {
    if (!document.hidden) await attempt(work);
    await new Promise((resolve) => setTimeout(resolve, known.gone ? GONE_EVERY : every));
  }
}

function reads() {
  const auto = view.element("auto");
  return auto instanceof HTMLInputElement && auto.checked ? read({ byItself: true }) : reading;
}

onClick("read", () => read().then(refresh));
onClick("submit", submit);
onClick("burst", burst);
for (const radio of view.radios("fault")) {
  radio.addEventListener("change", () => attempt(() => switchFault(radio.value)));
}
for (const radio of view.radios("learner")) {
  radio.addEventListener("change", () => {
    known.learner = radio.value;
    known.outcome = null;
    known.storyUntil = 0;
    known.backUntil = 0;
    return attempt(() => read());
  });
}
// The first read is the visitor's own: it happens whether or not the page goes on reading.
await attempt(() => refresh().then(() => read()));
forever(NEWS_EVERY, refresh);
forever(READ_EVERY, reads);
