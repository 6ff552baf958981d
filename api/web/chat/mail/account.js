// One signed-in user: his conversations, the one that is open, and what he wrote. All that changes comes over one
// connection, which the tabs of a browser share where they are the same user's.

import { Rowbox } from "../../client/rowbox.js";
import { ConversationSettings, isMuted } from "./user/conversation_settings.js";
import { Deeds } from "./deeds.js";
import { Drafts } from "./drafts.js";
import { Groups } from "./groups.js";
import { Inbox } from "./inbox.js";
import { LastEvents } from "./last_events.js";
import { Observable } from "../observable.js";
import { Blocks } from "./user/blocks.js";
import { Devices, deviceIdOf, forgetDevice } from "./user/devices.js";
import { giveName } from "./user/own_name.js";
import { Names } from "./user/names.js";
import { Presence } from "./user/presence.js";
import { Privacy } from "./user/privacy.js";
import { Push } from "./user/push.js";
import { OpenGroup } from "./open_group.js";
import { Outbox } from "./outbox.js";
import { groupIdOf } from "../peers.js";
import { Readers } from "./receipts.js";
import { Search } from "./search.js";
import { Thread } from "./thread.js";

/**
 * @typedef {import("../../client/rowbox.js").RowboxError} RowboxError
 * @typedef {import("../../client/rowbox.js").Changes} Changes
 */

/** How long the server is told of a sign-out. Nobody waits for it. */
const SIGN_OUT_PATIENCE_MS = 5_000;

export class Account extends Observable {
  /** Whether the server answers: null until that is known. @type {?boolean} */
  isConnected = null;
  /** Why it is over (a token that is no longer accepted): a RowboxError, or null. @type {?RowboxError} */
  failure = null;
  /** Of the last change: from there it goes on. @type {?string} */
  #token = null;
  /** The conversation that is open, or null. @type {?Thread} */
  thread = null;
  /** Who is in the group whose conversation is open; null where none is, or one of two. @type {?OpenGroup} */
  openGroup = null;
  #client;
  #end = new AbortController();
  #notifier;
  #deviceId;

  /**
   * @param {string} token
   * @param {string} userId
   * @param {import("../browser/notifier.js").Notifier} notifier
   */
  constructor(token, userId, notifier) {
    super();
    this.token = token;
    this.userId = userId;
    this.#notifier = notifier;
    this.#deviceId = deviceIdOf(token, userId);
    this.#client = new Rowbox({ url: new URL(".", document.baseURI).href, token, deviceId: this.#deviceId });
    this.devices = new Devices(this.#client, this.#end.signal);
    this.push = new Push(this.#client, { userId, token, deviceId: this.#deviceId }, notifier, this.#end.signal);
    this.blocks = new Blocks(this.#client, this.#end.signal);
    this.names = new Names(this.#client, this.#end.signal);
    this.inbox = new Inbox(this.#client, userId, this.names, this.#end.signal);
    this.lastEvents = new LastEvents(this.#client, this.#end.signal);
    this.inbox.subscribe(() => void this.lastEvents.look(this.inbox.conversations));
    this.privacy = new Privacy(this.#client, userId, this.#end.signal);
    this.presence = new Presence(this.#client);
    for (const what of [this.inbox, this.blocks]) what.subscribe(() => this.#watch());
    this.search = new Search(this.#client, this.#end.signal);
    this.deeds = new Deeds(this.#client, this.#end.signal);
    this.readers = new Readers(this.#client, this.#end.signal);
    this.groups = new Groups(this.#client, this.#end.signal);
    this.conversationSettings = new ConversationSettings(this.#client, this.#end.signal);
    this.drafts = new Drafts(userId);
    this.outbox = new Outbox(this.#client, userId, (unsent, sent) => this.#onSent(unsent, sent));
    this.outbox.resume();
    void this.#register();
    void this.#follow();
  }

  /** Ends the account's calls. Unsent messages stay in the tab for the same user's next sign-in. */
  close() {
    this.thread?.close();
    this.outbox.close();
    this.#end.abort();
  }

  /**
   * Ends the account's calls, and leaves nothing of the user in the tab. `isDevice`: the browser's other tabs of this user
   * are signed out as well, and so it is told the server, if that is there.
   * @param {{isDevice?: boolean}} [options]
   */
  signOut({ isDevice = false } = {}) {
    const isKnown = !this.failure;
    this.close(); // before the server is told, which would close the socket, and the answer would not come
    if (isDevice) void this.push.end();
    if (isDevice && isKnown) {
      void this.#client.signOut(this.#deviceId, { patienceMs: SIGN_OUT_PATIENCE_MS }).catch(() => {});
      forgetDevice(this.userId, this.#deviceId);
    }
    this.outbox.clear();
    this.drafts.clear();
  }

  /**
   * Shows the conversation with `peer` (a user or a group: peers.js), whether it exists already or not; with null no conversation.
   * @param {?string} peer
   * @param {{isFocused?: boolean, sought?: ?import("../../client/rowbox.js").Message}} [options] Whether the keyboard goes to
   *   where one writes; and the message to which one goes in place of that.
   */
  show(peer, { isFocused = false, sought = null } = {}) {
    if ((this.thread?.peer ?? null) === peer) {
      if (sought) void this.thread?.seek(sought);
      else if (isFocused) this.thread?.focus();
      return;
    }
    this.thread?.close();
    this.thread = peer === null ? null : new Thread(this.#client, peer, { isFocused: isFocused && !sought, end: this.#end.signal });
    const groupId = peer === null ? null : groupIdOf(peer);
    this.openGroup = groupId === null ? null : new OpenGroup(this.#client, groupId, this.#end.signal);
    this.#watch();
    this.changed();
    if (this.thread) {
      const { thread } = this;
      thread.subscribe(() => this.#forgetWhatArrived(thread));
      void this.#find(thread);
      if (sought) void thread.seek(sought);
    }
  }

  /** Watches those with whom there is a conversation of two: who is blocked is watched anew when that ends. */
  #watch() {
    const { inbox, thread, blocks, userId } = this;
    const peers = [...(thread ? [thread.peer] : []), ...inbox.conversations.map((one) => inbox.peerOf(one))];
    this.presence.watch(peers.filter((peer) => groupIdOf(peer) === null && peer !== userId && !blocks.has(peer)));
  }

  /** Whether others of this user have connected since, so many that this one had to go. */
  get isElsewhere() {
    return this.failure?.code === "connected_elsewhere";
  }

  /** Goes on after `isElsewhere`; another one has to go then. */
  useHere() {
    this.failure = null;
    this.changed();
    void this.#follow();
  }

  /** Gives the user this name. Null when that was done; else why not, in words. @param {string} name */
  async giveName(name) {
    const problem = await giveName(this.#client, name, this.#end.signal);
    if (problem === null) this.names.askAgain(this.userId);
    return problem;
  }

  /** Looks again for the open conversation, because the list of conversations could not be loaded before. */
  findAgain() {
    if (this.thread) void this.#find(this.thread);
  }

  /** @param {Thread} thread */
  async #find(thread) {
    thread.failure = null;
    thread.changed();
    const groupId = groupIdOf(thread.peer);
    if (groupId !== null) thread.begin(groupId);
    try {
      const conversation = await this.inbox.find(thread.peer);
      if (conversation) this.#begin(thread, conversation);
      else if (this.inbox.isLoaded && groupId === null) thread.beginEmpty();
      // Who opens it ends that; where there is something unread in truth, reading it does.
      if (conversation?.markedUnread && conversation.unreadCount === 0) void this.conversationSettings.markRead(conversation);
    } catch (error) {
      thread.failure = /** @type {RowboxError} */ (error);
      thread.changed();
    }
  }

  /** @param {Thread} thread @param {import("../../client/rowbox.js").Conversation} conversation */
  #begin(thread, conversation) {
    thread.begin(conversation.conversationId);
    if (thread === this.thread) this.openGroup?.follow(conversation);
  }

  /** Has this browser listed as a device, and told of messages where that is wanted. */
  async #register() {
    if (await this.devices.register()) await this.push.renew();
  }

  async #follow() {
    /** @param {import("../../client/rowbox.js").Connection} connection */
    const onConnection = ({ isConnected }) => {
      this.isConnected = isConnected;
      if (isConnected) {
        this.outbox.goOn();
        this.names.goOn();
        void this.#register();
        if (this.thread?.failure && !this.thread.isLoaded) void this.#find(this.thread);
        if (this.openGroup?.failure) void this.openGroup.load();
      }
      this.changed();
    };
    const share = `rowbox ${new URL(".", document.baseURI).pathname} ${this.userId}`;
    /** @param {Record<string, ?import("../../client/rowbox.js").Presence>} users */
    const onPresence = (users) => this.presence.take(users);
    const options = { token: this.#token, signal: this.#end.signal, onConnection, onPresence, share };
    try {
      for await (const change of this.#client.followChanges(options)) {
        if (change.isDeltaUpdate) this.#notify(change);
        this.lastEvents.take(change.messages);
        this.inbox.apply(change);
        if (change.account || !change.isDeltaUpdate) {
          this.names.askAgain(this.userId);
          this.devices.askAgain();
          if (this.privacy.isShown !== null) void this.privacy.load();
          void this.blocks.load();
        }
        this.#tellThread(change);
        this.#token = change.lastUpdatedTimestamp;
      }
    } catch (error) {
      this.failure = /** @type {RowboxError} */ (error);
      if (this.failure.code === "signed_out") {
        forgetDevice(this.userId, this.#deviceId);
        void this.push.end();
      }
      this.changed();
    }
  }

  /** Tells of the conversations in which there is more unread than before. @param {Changes} change */
  #notify({ conversations }) {
    for (const conversation of conversations) {
      const peer = this.inbox.peerOf(conversation);
      const before = this.inbox.with(peer)?.unreadCount ?? 0;
      const { conversationId, unreadCount, lastMessageId: messageId } = conversation;
      if (unreadCount === 0 && before > 0) void this.#notifier.takeAway(this.userId, conversationId);
      if (unreadCount <= before || isMuted(conversation)) continue;
      const { kind, snippet, lastSenderId } = conversation;
      const text = kind === "group" && lastSenderId && snippet ? `${this.names.of(lastSenderId)}: ${snippet}` : snippet;
      this.#notifier.tell(this.userId, { conversationId, messageId, peer, title: this.inbox.nameOf(conversation), text: text ?? "" });
    }
  }

  /** @param {Changes} change */
  #tellThread({ isDeltaUpdate, messages, conversations }) {
    const { thread } = this;
    if (!thread) return;
    if (!isDeltaUpdate) thread.reload();
    const { deletedUpTo } = conversations.find(({ conversationId }) => conversationId === thread.conversationId) ?? {};
    if (deletedUpTo !== undefined) thread.drop(deletedUpTo);
    const conversation = this.inbox.with(thread.peer);
    if (!conversation) return this.inbox.hasMore || this.openGroup ? undefined : thread.beginEmpty();
    this.#begin(thread, conversation);
    const own = messages.filter(({ conversationId }) => conversationId === thread.conversationId);
    if (own.length > 0) thread.take(own);
  }

  /**
   * @param {import("./outbox.js").Unsent} unsent
   * @param {import("../../client/rowbox.js").Sent} sent
   */
  #onSent({ recipientId, content, clientMessageId }, { messageId, conversationId, sentTimestamp }) {
    const { thread, userId } = this;
    if (thread?.peer !== recipientId) return;
    thread.begin(conversationId);
    thread.take([{ messageId, conversationId, sentTimestamp, senderId: userId, messageContent: content, clientMessageId }]);
  }

  /** @param {Thread} thread */
  #forgetWhatArrived(thread) {
    this.outbox.forget(new Set(thread.messages.map(({ clientMessageId }) => clientMessageId)));
  }
}
