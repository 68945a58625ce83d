// Everything the gateway's HTTP API sends, as Baileys receives it: polls, places, people.

import assert from "node:assert/strict";
import { test } from "node:test";
import { inBoth, meeting, type Plain, received } from "./meeting.ts";
import { numberOfPoll } from "./raw-protobuf.ts";

test("polls of the gateway: one choice, any number, several, an end, and votes that stay hidden", async (t) => {
  const at = await meeting(t);
  const { gateway, bob } = at;
  const options = ["Pizza", "Sushi 🍣", "Nothing"];
  await inBoth(at, async (chat) => {
    for (const [selectableCount, kind] of [
      [undefined, "pollCreationMessage"],
      [0, "pollCreationMessage"],
      [1, "pollCreationMessageV3"],
      [2, "pollCreationMessage"],
    ] as const) {
      const name = `Lunch? ${selectableCount} ${chat.to}`;
      const id = await gateway.sends({ type: "poll", to: chat.to, name, options, selectableCount });
      assert.deepEqual(await received(at, chat, id), {
        [kind]: {
          name,
          options: options.map((optionName) => ({ optionName })),
          selectableOptionsCount: selectableCount ?? 0,
        },
      });
      assert.deepEqual([numberOfPoll(name, 9), numberOfPoll(name, 10)], [undefined, undefined]);
      const { content } = await bob.gets(id);
      assert.deepEqual([content["endTime"], content["hideVotes"]], [undefined, undefined]);
    }
    for (const pollHideVotes of [true, false]) {
      const name = `Until when? ${pollHideVotes} ${chat.to}`;
      const pollEndTime = Date.now() + 3_600_000;
      const poll = { type: "poll", to: chat.to, name, options, selectableCount: 1 };
      const id = await gateway.sends({ ...poll, pollEndTime, pollHideVotes });
      assert.deepEqual(await received(at, chat, id), {
        pollCreationMessageV3: {
          name,
          options: options.map((optionName) => ({ optionName })),
          selectableOptionsCount: 1,
        },
      });
      const ends = Math.ceil(pollEndTime / 1_000);
      assert.deepEqual([numberOfPoll(name, 9), numberOfPoll(name, 10)], [ends, Number(pollHideVotes)]);
      const { messageSecret: _, ...content } = (await bob.gets(id)).content;
      assert.deepEqual(content, {
        name,
        options,
        selectableCount: 1,
        version: 3,
        endTime: ends,
        hideVotes: pollHideVotes,
      });
    }
  });
});

test("places of the gateway, with and without a name", async (t) => {
  const at = await meeting(t);
  await inBoth(at, async (chat) => {
    const [latitude, longitude] = [-54.123456789, 179.987654321];
    const place = { type: "location", to: chat.to, latitude, longitude };
    const degrees = { degreesLatitude: latitude, degreesLongitude: longitude };
    const named = await at.gateway.sends({ ...place, name: "Ushuaia, fin del mundo" });
    assert.deepEqual(await received(at, chat, named), {
      locationMessage: { ...degrees, name: "Ushuaia, fin del mundo" },
    });
    const nameless = await at.gateway.sends(place);
    assert.deepEqual(await received(at, chat, nameless), { locationMessage: degrees });
    const origin = await at.gateway.sends({ ...place, latitude: 0, longitude: 0 });
    assert.deepEqual(await received(at, chat, origin), {
      locationMessage: { degreesLatitude: 0, degreesLongitude: 0 },
    });
  });
});

test("people the gateway shares, by a card of one's own and by name and number", async (t) => {
  const at = await meeting(t);
  await inBoth(at, async (chat) => {
    const shares = async (contact: Plain, contactMessage: Plain) => {
      const id = await at.gateway.sends({ type: "contact", to: chat.to, contact });
      assert.deepEqual(await received(at, chat, id), { contactMessage });
    };
    const vcard =
      "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Jane Doe\r\nORG:ACME;\r\nTEL;waid=15550001111:+1 555\r\nEND:VCARD\r\n";
    await shares({ vcard }, { displayName: "Jane Doe", vcard });
    await shares({ vcard, name: "Janie" }, { displayName: "Janie", vcard });
    await shares(
      { name: "Doe; John, Jr.", phone: "+4915112345678" },
      {
        displayName: "Doe; John, Jr.",
        vcard: [
          "BEGIN:VCARD",
          "VERSION:3.0",
          "N:;Doe\\; John\\, Jr.;;;",
          "FN:Doe\\; John\\, Jr.",
          "TEL;type=CELL;type=VOICE;waid=4915112345678:+4915112345678",
          "END:VCARD",
        ].join("\n"),
      },
    );
  });
});
