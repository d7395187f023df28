// SPDX-License-Identifier: MIT OR Apache-2.0
// One end of the conversation on standard input and output, computed by a WebAssembly module: node wasm.mjs MODULE ROLE
import { readFileSync, readSync, writeSync } from 'node:fs';

const [module, role] = process.argv.slice(2);

function read(length) {
    const bytes = Buffer.alloc(length);
    for (let at = 0; at < length; ) {
        const count = readSync(0, bytes, at, length - at);
        if (count === 0) throw new Error('the line is down');
        at += count;
    }
    return bytes;
}

function write(bytes) {
    for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

let memory;
const line = {
    send(at, length) {
        const head = Buffer.alloc(2);
        head.writeUInt16LE(length);
        write(Buffer.concat([head, Buffer.from(memory.buffer, at, length)]));
        return 0;
    },
    receive(at, room) {
        const message = read(read(2).readUInt16LE());
        if (message.length <= room) new Uint8Array(memory.buffer).set(message, at);
        return message.length;
    },
    failed(at, length) {
        console.error(`FAILED: wasm: ${Buffer.from(memory.buffer, at, length)}`);
    },
};
const { instance } = await WebAssembly.instantiate(readFileSync(module), { line });
memory = instance.exports.memory;
process.exitCode = instance.exports[role]() === 1 ? 0 : 1;
