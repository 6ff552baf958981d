// One signed-in user: his conversations, the one that is open, and what he wrote. One long poll serves all of it,
// because a browser has only six connections to a server and two users may share them.

import { Rowbox } from "../client/rowbox.js";
import { Inbox } from "./inbox.js";
import { Observable } from "./observable.js";
import { Outbox } from "./outbox.js";
import { Thread } from "./thread.js";

export class Account extends Observable {
  /** Whether the server answers: null until that is known. */
  isConnected = null;
  /** Why it is over (a token that is no longer accepted): a RowboxError, or null. */
  failure = null;
  /** The conversation that is open, or null. */
  thread = null;
  /** peer -> what stands in the composer, for the conversations one leaves and comes back to. */
  drafts = new Map();
  #client;
  #end = new AbortController();

  constructor(token, userId) {
    super();
    this.token = token;
    this.userId = userId;
    this.#client = new Rowbox({ url: new URL(".", document.baseURI).href, token });
    this.inbox = new Inbox(this.#client, userId);
    this.outbox = new Outbox(this.#client, userId, (unsent, sent) => this.#onSent(unsent, sent));
    this.outbox.resume();
    this.#follow();
  }

  close() {
    this.thread?.close();
    this.#end.abort();
  }

  /** Shows the conversation with `peer`, whether there is one already or not. */
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
      thread.failure = error;
      thread.changed();
    }
  }

  leave() {
    this.thread?.close();
    this.thread = null;
    this.changed();
  }

  async #follow() {
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
      this.failure = error;
      this.changed();
    }
  }

  #tellThread({ isReset, conversations }) {
    const { thread } = this;
    if (!thread) return;
    const conversation = this.inbox.with(thread.peer);
    if (!conversation) return this.inbox.hasMore ? undefined : thread.beginEmpty();
    thread.begin(conversation.conversationId);
    if (isReset || conversations.some(({ conversationId }) => conversationId === thread.conversationId)) thread.ring();
  }

  #onSent({ recipientId, content, clientMessageId }, { messageId, conversationId, sentTimestamp }) {
    const { thread, userId } = this;
    if (thread?.peer !== recipientId) return;
    thread.begin(conversationId);
    thread.take([{ messageId, conversationId, sentTimestamp, senderId: userId, messageContent: content, clientMessageId }]);
  }

  #forgetWhatArrived(thread) {
    this.outbox.forget(new Set(thread.messages.map(({ clientMessageId }) => clientMessageId)));
  }
}
