/**
 * The banked XP of a learner: what the demo's upstream computes, and what goes wrong when it is computed from old records.
 *
 * The rule: a submission banks its XP. Submissions at most 24 hours apart form a streak; from the third of a streak on,
 * each banks half as much again. A streak is over 24 hours after its last submission. Banked XP unlocks levels.
 */

const STREAK_GAP = 24 * 60 * 60 * 1000;
const BONUS_FROM = 3;
const LEVELS = [
  { name: "bronze", at: 100 },
  { name: "silver", at: 200 },
  { name: "gold", at: 400 },
];

/**
 * @typedef {{ id: string, name: string }} Learner
 * @typedef {{ learner: string, lesson: string, xp: number, at: string }} Submission
 */

/**
 * Pure, so that the demo and the tests can compute it for any moment.
 *
 * @param {Learner} learner
 * @param {readonly Submission[]} submissions of all learners, in any order
 * @param {number} now Unix ms
 */
export function bankedXp(learner, submissions, now) {
  const own = submissions
    .filter((one) => one.learner === learner.id)
    .map((one) => ({ ...one, time: Date.parse(one.at) }));
  own.sort((a, b) => a.time - b.time);
  let banked = 0;
  let streak = 0;
  let last = Number.NEGATIVE_INFINITY;
  for (const { xp, time } of own) {
    streak = time - last <= STREAK_GAP ? streak + 1 : 1;
    banked += streak >= BONUS_FROM ? Math.round(xp * 1.5) : xp;
    last = time;
  }
  const alive = now - last <= STREAK_GAP;
  return {
    learner: learner.id,
    name: learner.name,
    banked,
    submissions: own.length,
    streak: alive ? streak : 0,
    /** Until then the answer stays true without another submission. */
    streakEndsAt: alive ? new Date(last + STREAK_GAP).toISOString() : null,
    unlocked: LEVELS.filter((level) => banked >= level.at).map((level) => level.name),
    computedAt: new Date(now).toISOString(),
  };
}
