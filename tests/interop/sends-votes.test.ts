// Everything the gateway's HTTP API sends, as Baileys receives it: votes, both ways.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { decryptPollVote, getAggregateVotesInPollMessage, proto } from "baileys";
import { inBoth, meeting, type Plain, shown } from "./meeting.ts";

test("the gateway votes in Baileys' poll, otherwise, and not at all", async (t) => {
  const at = await meeting(t);
  const { alice, gateway, baileys } = at;
  const values = ["Pizza", "Sushi 🍣", "Nothing"];
  await inBoth(at, async (chat) => {
    const poll = await baileys.say(chat.shownAs, { poll: { name: "Lunch?", values, selectableCount: 0 } });
    await gateway.session.event("message", { waMessageId: poll.id });
    const secret = poll.message?.messageContextInfo?.messageSecret;
    assert.ok(secret, "no secret");
    for (const options of [["Sushi 🍣"], ["Pizza", "Nothing"], []]) {
      const asked = Date.now();
      const id = await gateway.does("POST", `/${poll.id}/vote`, { chat: chat.to, options });
      const { says, message } = await shown(at, chat, id);
      const { vote, senderTimestampMs, ...update } = says["pollUpdateMessage"] as Plain;
      assert.ok(Math.abs(Number(senderTimestampMs) - asked) < 60_000);
      assert.deepEqual(
        { ...says, pollUpdateMessage: update },
        {
          pollUpdateMessage: {
            pollCreationMessageKey: {
              // As Baileys turns it round.
              remoteJid: chat.shownAs,
              fromMe: true,
              id: poll.id,
              participant: chat.isGroup ? chat.bob : "",
            },
          },
        },
      );
      assert.deepEqual(Object.keys(vote as Plain).sort(), ["encIv", "encPayload"]);
      const sealed = message.message?.pollUpdateMessage?.vote;
      assert.ok(sealed);
      const opened = decryptPollVote(sealed, {
        pollCreatorJid: chat.bob,
        pollMsgId: poll.id,
        pollEncKey: Buffer.from(secret),
        voterJid: chat.alice,
      });
      const update_ = { pollUpdateMessageKey: message.key, vote: opened };
      const counted = getAggregateVotesInPollMessage({
        message: poll.message ?? null,
        pollUpdates: [update_],
      });
      // Whoever votes is known to Baileys by their other name.
      const voter = chat.isGroup ? alice.jid : alice.lid;
      assert.deepEqual(
        counted,
        values.map((name) => ({ name, voters: options.includes(name) ? [voter] : [] })),
      );
      // The vote is told to the gateway's readers as well.
      const told = await gateway.vote(id);
      assert.deepEqual(
        [told["targetId"], told["selectedOptions"], told["fromMe"], told["chatJid"], told["senderJid"]],
        [poll.id, options, true, chat.to, alice.jid],
      );
    }
    const wrong = await gateway.asks("POST", `/${poll.id}/vote`, { chat: chat.to, options: ["Soup"] });
    assert.equal(wrong.status, 400);
  });
});

test("Baileys votes in the gateway's poll, and what for is told", async (t) => {
  const at = await meeting(t);
  const { gateway, baileys, bob } = at;
  const options = ["Pizza", "Sushi 🍣", "Nothing"];
  await inBoth(at, async (chat) => {
    const poll = await gateway.sends({ type: "poll", to: chat.to, name: "Lunch?", options });
    const { secret, message } = await shown(at, chat, poll);
    assert.ok(secret, "no secret");
    for (const chosen of [["Sushi 🍣"], ["Pizza", "Nothing"], []]) {
      const id = await baileys.votes(chat.shownAs, {
        poll: message.key,
        creator: chat.alice,
        voter: chat.bob,
        secret,
        options: chosen,
      });
      const { timestamp, ...told } = await gateway.vote(id);
      assert.ok(Math.abs(Number(timestamp) - Date.now()) < 60_000);
      assert.deepEqual(told, {
        waMessageId: id,
        chatJid: chat.to,
        senderJid: bob.jid,
        senderLid: bob.lid,
        fromMe: false,
        pushName: bob.pushName,
        type: "poll_vote",
        hasMedia: false,
        media: {},
        targetId: poll,
        selectedOptions: chosen,
      });
    }
  });
});

test("of two polls with one id the gateway votes in that of the sender it is told", async (t) => {
  const at = await meeting(t);
  const { gateway, baileys, bob, carol } = at;
  const [, group] = at.chats;
  const values = ["Pizza", "Sushi 🍣", "Nothing"];
  const poll = await baileys.say(group.to, { poll: { name: "Lunch?", values, selectableCount: 0 } });
  await gateway.session.event("message", { waMessageId: poll.id, senderLid: bob.lid });
  const carols = randomBytes(32);
  const other = proto.Message.encode({
    pollCreationMessage: {
      name: "Dinner?",
      options: values.map((optionName) => ({ optionName })),
      selectableOptionsCount: 0,
    },
    messageContextInfo: { messageSecret: carols },
  }).finish();
  await carol.say({ to: group.to, message: Buffer.from(other).toString("base64"), id: poll.id });
  await gateway.session.event("message", { waMessageId: poll.id, senderLid: carol.lid });
  const bobs = poll.message?.messageContextInfo?.messageSecret;
  assert.ok(bobs, "no secret");
  const makers = [
    { names: [bob.number, bob.jid, bob.lid], lid: bob.lid, secret: Buffer.from(bobs) },
    { names: [carol.number, carol.jid, carol.lid], lid: carol.lid, secret: carols },
  ];
  for (const { names, lid } of makers) {
    for (const sender of names) {
      const body = { chat: group.to, options: ["Pizza"], sender };
      const { message } = await shown(at, group, await gateway.does("POST", `/${poll.id}/vote`, body));
      const { pollCreationMessageKey, vote } = message.message?.pollUpdateMessage ?? {};
      assert.equal(pollCreationMessageKey?.participant, lid);
      assert.ok(vote);
      for (const maker of makers) {
        const opened = (): proto.Message.IPollVoteMessage =>
          decryptPollVote(vote, {
            pollCreatorJid: maker.lid,
            pollMsgId: poll.id,
            pollEncKey: maker.secret,
            voterJid: group.alice,
          });
        if (maker.lid === lid) assert.equal(opened().selectedOptions?.length, 1);
        else assert.throws(opened);
      }
    }
  }
  const nobodys = { chat: group.to, options: ["Pizza"], sender: at.alice.jid };
  assert.equal((await gateway.asks("POST", `/${poll.id}/vote`, nobodys)).status, 404);
});
