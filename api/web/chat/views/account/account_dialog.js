// The user's own account: what he is called, and where he is signed in.

import { html, useLayoutEffect, useRef } from "../../vendor/htm-preact.js";
import { problemOfName } from "../../mail/user/own_name.js";
import { Avatar } from "../avatar.js";
import { EditableName } from "../editable_name.js";
import { BlockedPeople } from "./blocked_people.js";
import { PushSwitch } from "./push_switch.js";
import { SignedInDevices } from "./signed_in_devices.js";
import { WhoSeesMe } from "./who_sees_me.js";

/** @param {{account: import("../../mail/account.js").Account, onClose: () => void}} props */
export function AccountDialog({ account, onClose }) {
  const dialog = useRef(/** @type {any} */ (null));
  useLayoutEffect(() => {
    const { current } = dialog;
    current.showModal();
    return () => current.close(); // the keyboard goes back to where it was
  }, []);
  const { userId, names } = account;
  const given = names.given(userId);
  const onCancel = (/** @type {Event} */ event) => {
    event.preventDefault(); // it closes when it is no longer drawn
    onClose();
  };
  return html`
    <dialog ref=${dialog} class="account-dialog" aria-label="Your account" onCancel=${onCancel}>
      <header class="bar">
        <h2>Your account</h2>
        <button type="button" class="quiet close" aria-label="Close" onClick=${onClose}>×</button>
      </header>
      <div class="about-account">
        <div class="face">
          <${Avatar} peer=${userId} title=${given ?? userId} />
          <${EditableName} name=${given ?? ""} title=${given ?? userId} label="Your name" begin=${given ? "Change your name" : "Set your name"}
            mayChange=${true} problemOf=${problemOfName} onChange=${(/** @type {string} */ name) => account.giveName(name)} />
          <p class="soft">Your user id: <bdi>${userId}</bdi></p>
        </div>
        <${WhoSeesMe} privacy=${account.privacy} />
        <${BlockedPeople} blocks=${account.blocks} nameOf=${names.of} />
        <${PushSwitch} push=${account.push} />
        <${SignedInDevices} devices=${account.devices} />
      </div>
    </dialog>
  `;
}
