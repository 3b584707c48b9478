// Lines on a descriptor, read and written without events.
"use strict";
const { readSync, writeSync } = require("fs");
const { Buffer } = require("buffer");
const { from, concat, alloc } = Buffer;
const LONGEST = 64 << 20;
const bound = (method) => Function.prototype.call.bind(method);
const indexOf = bound(Buffer.prototype.indexOf);
const subarray = bound(Uint8Array.prototype.subarray);
const toText = bound(Buffer.prototype.toString);

// Return {read, write}: `read` returns the next line, or null at the end.
module.exports = function lines(input, output) {
  let kept = alloc(0);
  const chunk = alloc(1 << 16);
  return {
    read() {
      let from = 0;
      for (;;) {
        const end = indexOf(kept, 10, from);
        if (end >= 0) {
          const line = toText(kept, "utf8", 0, end);
          kept = subarray(kept, end + 1);
          return line;
        }
        from = kept.length;
        let count = 0;
        try {
          count = readSync(input, chunk, 0, chunk.length, null);
        } catch (error) {
          if (error.code === "EAGAIN" || error.code === "EINTR") continue;
          return null;
        }
        if (!count || kept.length > LONGEST) return null;
        kept = concat([kept, subarray(chunk, 0, count)]);
      }
    },
    write(line) {
      let data = from(`${line}\n`);
      while (data.length) {
        try {
          data = subarray(data, writeSync(output, data));
        } catch (error) {
          if (error.code !== "EAGAIN") throw error;
        }
      }
    },
  };
};
