// The types of htm-preact.js: preact's own, which `make check` installs, and htm's one function.

import type { VNode } from "preact";

export type { Ref } from "preact"; // both have one
export * from "preact";
export * from "preact/hooks";
export declare function html(strings: TemplateStringsArray, ...values: unknown[]): VNode;
