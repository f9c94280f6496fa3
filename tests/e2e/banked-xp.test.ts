import { describe, expect, test } from "vitest";
import { bankedXp } from "../../dev/banked-xp.mjs";

const HOUR = 3_600_000;
const NOON = Date.parse("2026-03-02T12:00:00.000Z");
const learner = { id: "ada", name: "Ada Okafor" };

/** Ada's XP `now` hours after noon, with a submission of 20 XP at each of `hours` after noon. */
function xp(hours: number[], now: number) {
  const at = (hour: number) => new Date(NOON + hour * HOUR).toISOString();
  const submissions = hours.map((hour) => ({ learner: "ada", lesson: "fractions-1", xp: 20, at: at(hour) }));
  const other = { learner: "bruno", lesson: "fractions-1", xp: 500, at: at(0) };
  return bankedXp(learner, [...submissions, other], NOON + now * HOUR);
}

describe("banked XP", () => {
  test("is half as much again from the third submission of a streak on", () => {
    expect(xp([0], 1)).toMatchObject({ banked: 20, streak: 1 });
    expect(xp([0, 24], 25)).toMatchObject({ banked: 40, streak: 2 });
    expect(xp([0, 24, 48], 49)).toMatchObject({ banked: 70, streak: 3 });
  });

  test("starts a new streak after a gap of more than 24 hours", () => {
    expect(xp([0, 24, 48.01], 49)).toMatchObject({ banked: 60, streak: 1 });
  });

  test("changes with time alone: a streak ends 24 hours after its last submission", () => {
    const endsAt = new Date(NOON + 24 * HOUR).toISOString();
    expect(xp([0], 24)).toMatchObject({ streak: 1, streakEndsAt: endsAt });
    expect(xp([0], 24.01)).toMatchObject({ banked: 20, streak: 0, streakEndsAt: null });
  });

  test("does not depend on the order of the records", () => {
    expect(xp([48, 0, 24], 49)).toEqual(xp([0, 24, 48], 49));
  });

  test("unlocks levels", () => {
    expect(xp([0, 1, 2], 3).unlocked).toEqual([]);
    expect(xp([0, 1, 2, 3], 4)).toMatchObject({ banked: 100, unlocked: ["bronze"] });
    expect(xp([], 0)).toMatchObject({ banked: 0, submissions: 0, streak: 0, unlocked: [] });
  });
});
