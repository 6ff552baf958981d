// One signed-in user: his conversations, the one that is open, and what he wrote. One long poll serves all of it,
// because a browser has only six connections to a server and two users may share them.

import { Rowbox } from "../client/rowbox.js";
import { Inbox } from "./inbox.js";
import { Observable } from "./observable.js";
import { Outbox } from "./outbox.js";
import { Thread } from "./thread.js";

/** @typedef {import("../client/rowbox.js").RowboxError} RowboxError */

export class Account extends Observable {
  /** Whether the server answers: null until that is known. @type {?boolean} */
  isConnected = null;
  /** Why it is over (a token that is no longer accepted): a RowboxError, or null. @type {?RowboxError} */
  failure = null;
  /** The conversation that is open, or null. @type {?Thread} */
  thread = null;
  /** peer -> what stands in the composer, for the conversations one leaves and comes back to. @type {Map<string, string>} */
  drafts = new Map();
  #client;
  #end = new AbortController();

  /**
   * @param {string} token
   * @param {string} userId
   */
  constructor(token, userId) {
    super();
    this.token = token;
    this.userId = userId;
    this.#client = new Rowbox({ url: new URL(".", document.baseURI).href, token });
    this.inbox = new Inbox(this.#client, userId);
    this.outbox = new Outbox(this.#client, userId, (unsent, sent) => this.#onSent(unsent, sent));
    this.outbox.resume();
    void this.#follow();
  }

  close() {
    this.thread?.close();
    this.#end.abort();
  }

  /** Shows the conversation with `peer`, whether there is one already or not. @param {string} peer */
  async open(peer) {
    if (this.thread?.peer === peer) return;
    this.thread?.close();
    const thread = new Thread(this.#client, peer);
    thread.subscribe(() => this.#forgetWhatArrived(thread));
    this.thread = thread;
    this.changed();
    try {
      const conversation = await this.inbox.find(peer);
      if (conversation) thread.begin(conversation.conversationId);
      else if (this.inbox.isLoaded) thread.beginEmpty();
    } catch (error) {
      thread.failure = /** @type {RowboxError} */ (error);
      thread.changed();
    }
  }

  leave() {
    this.thread?.close();
    this.thread = null;
    this.changed();
  }

  async #follow() {
    /** @param {import("../client/rowbox.js").Connection} connection */
    const onConnection = ({ isConnected }) => {
      this.isConnected = isConnected;
      this.changed();
    };
    try {
      for await (const change of this.#client.followConversations({ signal: this.#end.signal, onConnection })) {
        this.inbox.apply(change);
        this.#tellThread(change);
      }
    } catch (error) {
      this.failure = /** @type {RowboxError} */ (error);
      this.changed();
    }
  }

  /** @param {import("../client/rowbox.js").ConversationChange} change */
  #tellThread({ isReset, conversations }) {
    const { thread } = this;
    if (!thread) return;
    const conversation = this.inbox.with(thread.peer);
    if (!conversation) return this.inbox.hasMore ? undefined : thread.beginEmpty();
    thread.begin(conversation.conversationId);
    if (isReset || conversations.some(({ conversationId }) => conversationId === thread.conversationId)) thread.ring();
  }

  /**
   * @param {import("./outbox.js").Unsent} unsent
   * @param {import("../client/rowbox.js").Sent} sent
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
