// SPDX-License-Identifier: MIT OR Apache-2.0
// Writes a value in the ways in which Node.js writes values: `node node.js OUT VALUE_IN_HEX`. See python.py.
"use strict";
const fs = require("fs"), path = require("path"), util = require("util"), v8 = require("v8"), zlib = require("zlib");
const querystring = require("querystring");

const [out, hex] = process.argv.slice(2);
const value = Buffer.from(hex, "hex");
const decoded = value.toString();
const text = Buffer.from(decoded).equals(value) ? decoded : null;
const latin = value.toString("latin1");
const names = [];

function way(group, name, content) {
  fs.writeFileSync(path.join(out, String(names.length)), content());
  names.push(`${names.length}\t${group}\t${name}`);
}
const ofText = (group, name, content) => text === null || way(group, name, content);

const filler = Array.from({ length: 200 }, (_, i) => `request ${i} took ${(i * 7) % 90} ms\n`).join("");
const content = Buffer.concat([Buffer.from(filler), value, Buffer.from(filler)]);
const bytes = new Uint8Array(value);

const T = "Node.js";
way(T, "`JSON.stringify` of a Buffer", () => JSON.stringify(value));
way(T, "`JSON.stringify` of a Uint8Array", () => JSON.stringify(bytes));
way(T, "`JSON.stringify` of an array, indented", () => JSON.stringify([...bytes], null, 2));
way(T, "`console.log` of a Buffer", () => util.inspect(value));
way(T, "`console.log` of a Uint8Array", () => util.inspect(bytes));
way(T, "`console.log` of a string of Latin-1", () => util.inspect(latin));
way(T, "`buffer.toString('base64url')`", () => value.toString("base64url"));
way(T, "`encodeURIComponent` of a string of Latin-1", () => encodeURIComponent(latin));
way(T, "`escape` of a string of Latin-1", () => escape(latin));
way(T, "`BigInt` in decimal", () => String(BigInt("0x" + hex)));
way(T, "`BigInt`, `toString(36)`", () => BigInt("0x" + hex).toString(36));
way(T, "`v8.serialize` of a Buffer", () => v8.serialize(value));
way(T, "`v8.serialize` of an array", () => v8.serialize([...bytes]));
way(T, "`buffer.swap16`", () => Buffer.from(value).swap16());
way(T, "`buffer.swap32`", () => Buffer.from(value).swap32());
way(T, "`zlib.brotliCompressSync`", () => zlib.brotliCompressSync(content));
way(T, "`zlib.deflateRawSync`", () => zlib.deflateRawSync(content));
way(T, "`zlib.gzipSync`, without compression", () => zlib.gzipSync(content, { level: 0 }));
ofText(T, "`util.inspect` of an object", () => util.inspect({ text }));
ofText(T, "`escape`", () => escape(text));
ofText(T, "`encodeURI`", () => encodeURI(text));
ofText(T, "`querystring.stringify`", () => querystring.stringify({ text }));
ofText(T, "`buffer.toString('utf16le')`", () => Buffer.from(text, "utf16le"));
ofText(T, "`v8.serialize` of a string", () => v8.serialize(text));

fs.writeFileSync(path.join(out, "names"), names.join("\n") + "\n");
