// Baileys in a group with simulated phones: sender keys both ways, polls, votes, reactions, and asking again.

import assert from "node:assert/strict";
import { createCipheriv, createHash, createHmac, randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import { decryptPollVote, jidNormalizedUser, proto } from "baileys";
import { Companion } from "./baileys-client.ts";
import { Fault, foundGroup, Phone } from "./simulator-client.ts";

interface Picnic {
  readonly alice: Phone;
  readonly companion: Companion;
  readonly bob: Phone;
  readonly carol: Phone;
  readonly group: string;
}

/** Alice with a Baileys, Bob and Carol with phones, in one group. */
async function picnic(t: TestContext): Promise<Picnic> {
  const [alice, bob, carol] = await Promise.all([
    Phone.create("Alice"),
    Phone.create("Bob"),
    Phone.create("Carol"),
  ]);
  const companion = await Companion.paired(t, alice);
  return { alice, companion, bob, carol, group: await foundGroup("Picnic", alice, [bob, carol]) };
}

test("what Baileys writes in a group arrives on every phone, its own too", async (t) => {
  const { alice, companion, bob, carol, group } = await picnic(t);
  for (const text of ["one", "two", "three"]) {
    const id = await companion.send(group, text);
    for (const phone of [bob, carol, alice]) {
      const received = await phone.gets(id);
      assert.equal(received.text, text);
      assert.equal(received.chat, group);
      assert.equal(received.from, alice.jid);
      assert.equal(received.fromMe, phone === alice);
    }
  }
  assert.equal((await bob.messages()).length, 3);
  assert.deepEqual(companion.errors, []);
});

test("what phones write in a group arrives at Baileys, and they learn that it did", async (t) => {
  const { alice, companion, bob, carol, group } = await picnic(t);
  for (const [writer, text] of [
    [bob, "from Bob"],
    [carol, "from Carol"],
    [bob, "again from Bob"],
  ] as const) {
    const id = await writer.send(group, text);
    const received = await companion.gets(id);
    assert.equal(received.key.remoteJid, group);
    assert.equal(received.key.participant, writer.lid);
    assert.equal((await companion.receives(text)).fromMe, false);
    const { from } = await writer.receipt("delivery", id);
    assert.ok([alice.jid, bob.jid, carol.jid].includes(from));
  }
  await alice.send(group, "typed on its own phone");
  assert.equal((await companion.receives("typed on its own phone")).fromMe, true);
});

test("whoever joins later reads what Baileys writes later", async (t) => {
  const { companion, bob, carol, group } = await picnic(t);
  await companion.send(group, "before");
  await carol.receives("before");
  const dave = await Phone.create("Dave");
  await companion.connection.socket.groupMetadata(group);
  await bob.adds(group, dave);
  const id = await companion.send(group, "after");
  assert.equal((await dave.gets(id)).text, "after");
  assert.deepEqual(
    (await dave.messages()).map(({ text }) => text),
    ["after"],
  );
});

test("a phone and Baileys that can't read a group's message get it again", async (t) => {
  const { alice, companion, bob, carol, group } = await picnic(t);
  for (const text of ["with the key", "without"]) {
    const atCarol = await Fault.arm(carol.number, { kind: "corrupt_ciphertext" });
    const id = await companion.send(group, text);
    assert.equal((await carol.gets(id)).text, text);
    await atCarol.struck();
    const device = (await alice.devices())[0];
    assert.ok(device, "no companion");
    const atBaileys = await Fault.arm(device.jid, { kind: "corrupt_ciphertext" });
    await bob.send(group, `${text}, too`);
    await companion.receives(`${text}, too`);
    await atBaileys.struck();
  }
});

test("polls of Baileys and votes in them, both ways, and what was voted for", async (t) => {
  const { alice, companion, bob, carol, group } = await picnic(t);
  const values = ["Pizza", "Sushi"];
  for (const to of [bob.jid, group]) {
    const [creator, voter] = to === group ? [alice.lid, bob.lid] : [alice.jid, bob.jid];
    const poll = await companion.say(to, { poll: { name: "Lunch?", values, selectableCount: 1 } });
    const seen = await bob.gets(poll.id);
    assert.equal(seen.kind, "poll");
    assert.deepEqual([seen.content["name"], seen.content["options"]], ["Lunch?", values]);
    const secret = Buffer.from(String(seen.content["messageSecret"]), "base64");

    const voted = await bob.say({
      to: to === group ? group : alice.jid,
      kind: "pollVote",
      target: poll.id,
      options: ["Sushi"],
    });
    const { vote } = (await companion.gets(voted)).message?.pollUpdateMessage ?? {};
    assert.ok(vote, "no vote");
    const opened = decryptPollVote(vote, {
      pollCreatorJid: creator,
      pollMsgId: poll.id,
      pollEncKey: secret,
      voterJid: voter,
    });
    assert.deepEqual(
      opened.selectedOptions?.map((hash) => Buffer.from(hash).toString("hex")),
      [sha256Hex("Sushi")],
    );

    // Baileys can't vote by itself: an independent maker of votes, through its door for messages of any kind.
    const update = castVote({ poll: poll.id, chat: to, creator, voter: creator, secret, options: ["Pizza"] });
    const id = await companion.connection.socket.relayMessage(to, update, {});
    for (const phone of to === group ? [bob, carol, alice] : [bob, alice]) {
      const { kind, content } = await phone.gets(id);
      assert.equal(kind, "pollVote");
      assert.equal(content["decrypted"], true);
      assert.deepEqual(content["selected"], [
        { hash: Buffer.from(sha256Hex("Pizza"), "hex").toString("base64"), name: "Pizza" },
      ]);
    }
  }
});

test("Baileys reacts, answers, edits and deletes, and every phone knows what it is about", async (t) => {
  const { alice, companion, bob, carol, group } = await picnic(t);
  const first = await bob.send(group, "hello");
  const hello = await companion.gets(first);

  const reaction = await companion.say(group, { react: { text: "🎉", key: hello.key } });
  const reacted = await carol.gets(reaction.id);
  assert.equal(reacted.kind, "reaction");
  assert.equal(reacted.content["text"], "🎉");
  assert.deepEqual(reacted.content["target"], {
    id: first,
    fromMe: false,
    remoteJid: group,
    participant: bob.lid,
  });

  const answer = await companion.say(
    group,
    { text: `hello @${bob.lid}`, mentions: [bob.lid] },
    { quoted: hello },
  );
  const answered = await carol.gets(answer.id);
  assert.deepEqual(answered.content["mentions"], [bob.lid]);
  const quoted = answered.content["quoted"] as { id: string; participant: string; message: { text: string } };
  assert.deepEqual(
    [quoted.id, quoted.participant, quoted.message.text],
    [first, jidNormalizedUser(bob.lid), "hello"],
  );

  const edit = await companion.say(group, { text: "hello Bob", edit: answer.key });
  const edited = await carol.gets(edit.id);
  assert.equal(edited.kind, "edit");
  assert.equal((edited.content["target"] as { id: string }).id, answer.id);
  assert.equal((edited.content["edited"] as { text: string }).text, "hello Bob");

  const removal = await companion.say(group, { delete: answer.key });
  const removed = await bob.gets(removal.id);
  assert.equal(removed.kind, "revoke");
  assert.equal((removed.content["target"] as { id: string }).id, answer.id);
  const byAdmin = await companion.say(group, { delete: hello.key });
  const taken = await carol.gets(byAdmin.id);
  assert.deepEqual([taken.kind, taken.from], ["revoke", alice.jid]);
  assert.equal((taken.content["target"] as { participant: string }).participant, bob.lid);
});

test("Baileys sees what phones react, edit and delete", async (t) => {
  const { companion, bob, group } = await picnic(t);
  const id = await companion.send(group, "hello");
  await bob.gets(id);
  const reaction = await companion.gets(
    await bob.say({ to: group, kind: "reaction", target: id, text: "👍" }),
  );
  assert.equal(reaction.message?.reactionMessage?.text, "👍");
  assert.equal(reaction.message?.reactionMessage?.key?.id, id);
  const typo = await bob.say({ to: group, kind: "text", text: "tpyo" });
  await companion.gets(typo);
  const edit = await companion.gets(await bob.say({ to: group, kind: "edit", target: typo, text: "typo" }));
  assert.equal(edit.message?.protocolMessage?.type, proto.Message.ProtocolMessage.Type.MESSAGE_EDIT);
  assert.equal(edit.message?.protocolMessage?.editedMessage?.conversation, "typo");
  const removal = await companion.gets(await bob.say({ to: group, kind: "revoke", target: typo }));
  assert.equal(removal.message?.protocolMessage?.key?.id, typo);
});

function sha256Hex(text: string): string {
  return sha256(text).toString("hex");
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

interface Vote {
  readonly poll: string;
  readonly chat: string;
  readonly creator: string;
  readonly voter: string;
  readonly secret: Buffer;
  readonly options: readonly string[];
}

/** A vote as `decryptPollVote` reads it. */
function castVote({ poll, chat, creator, voter, secret, options }: Vote): proto.IMessage {
  const extracted = createHmac("sha256", Buffer.alloc(32)).update(secret).digest();
  const info = Buffer.concat([Buffer.from(`${poll}${creator}${voter}Poll Vote`), Buffer.of(1)]);
  const key = createHmac("sha256", extracted).update(info).digest();
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(Buffer.from(`${poll}\0${voter}`));
  const selectedOptions = options.map((option) => sha256(option));
  const plain = proto.Message.PollVoteMessage.encode({ selectedOptions }).finish();
  const encPayload = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  return {
    pollUpdateMessage: {
      pollCreationMessageKey: { id: poll, remoteJid: chat, fromMe: true },
      vote: { encPayload, encIv: iv },
      senderTimestampMs: Date.now(),
    },
  };
}
