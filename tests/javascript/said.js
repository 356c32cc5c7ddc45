/** node said.js '{"answer": [codes], "submit": [codes], "close": [codes]}' -> what the page does and says. */

import { afterClose } from "../../gateway/page/reconnect.js";
import { answerError, ending, submitError } from "../../gateway/page/words.js";

const { answer, submit, finish, close } = JSON.parse(process.argv[2]);
const unknown = { code: "no such code", message: "" };
const later = { code: "gone", message: "It is gone." };
const each = (codes, say) => Object.fromEntries(codes.map((code) => [code, say(code)]));

console.log(JSON.stringify({
  answer: each(answer, (code) => answerError({ code, message: "" })),
  submit: each(submit, (code) => submitError({ code, message: "" })),
  finish: each(finish, ending),
  close: each(close, (code) => afterClose(code, "", 0, 0).next),
  waits: submitError({ code: "rate_limited", message: "", retry_after_ms: 1_201 }),
  later: [answerError(later), submitError(later)],
  unknown: [answerError(unknown), submitError(unknown)],
}));
