// Where the user is signed in, and how that is ended.

import { html, useEffect, useRef } from "../../vendor/htm-preact.js";
import { useObserved } from "../../observable.js";
import { briefTime, fullTime, isoTime } from "../../time.js";

/** @param {{devices: import("../../mail/user/devices.js").Devices}} props */
export function SignedInDevices({ devices }) {
  useObserved(devices);
  useEffect(() => devices.watch(), [devices]);
  const heading = useRef(/** @type {any} */ (null));
  const { all, failure, isBusy } = devices;
  const others = all?.filter(({ current }) => !current).map(({ deviceId }) => deviceId) ?? [];
  const end = (/** @type {string[]} */ deviceIds) => {
    heading.current.focus(); // the button goes
    void devices.signOut(deviceIds);
  };
  return html`
    <section class="devices" aria-label="Signed-in devices" aria-busy=${isBusy}>
      <h3 ref=${heading} tabindex="-1">Signed-in devices</h3>
      <p class="problem" role="alert">${failure && `${failure}.`}</p>
      ${failure && html`<button type="button" onClick=${() => void devices.load()}>Try again</button>`}
      ${all === null && !failure && html`<p class="hint">Loading…</p>`}
      ${all?.every(({ current }) => !current) && html`
        <p class="soft">This browser is not among them. There are as many as there may be, or it was not listed yet.</p>
      `}
      <ul>
        ${all?.map(
          ({ deviceId, name, platform, current, lastSeenTimestamp }) => html`
            <li key=${deviceId} class="device">
              <span class="name"><bdi>${[name || "A device", platform].filter(Boolean).join(" on ")}</bdi></span>
              <span class="soft">${current ? "This browser" : html`Last used <time datetime=${isoTime(lastSeenTimestamp)} title=${fullTime(lastSeenTimestamp)}>${briefTime(lastSeenTimestamp)}</time>`}</span>
              ${!current && html`
                <button type="button" aria-label=${`Sign out ${[name || "a device", platform].filter(Boolean).join(" on ")}`} disabled=${isBusy}
                  onClick=${() => end([deviceId])}>Sign out</button>
              `}
            </li>
          `,
        )}
      </ul>
      ${others.length > 1 && html`<button type="button" class="bad" disabled=${isBusy} onClick=${() => end(others)}>Sign out all others</button>`}
    </section>
  `;
}
