/** Task lists: `- [ ] to do`, `- [x] done`. Pure: the box is text in front of the words, dressed by the page. */

const BOX = /^\[([ xX])\](?=\s|$)[ \t]*/;

/** Let a markdown-it parser read them: the item gets the class `task` or `task-done`. */
export function taskLists(parser) {
  parser.core.ruler.before("inline", "tasks", ({ tokens }) => {
    for (let index = 2; index < tokens.length; index += 1) {
      const [item, paragraph, words] = [tokens[index - 2], tokens[index - 1], tokens[index]];
      if (words.type !== "inline" || paragraph.type !== "paragraph_open" || item.type !== "list_item_open") continue;
      const box = BOX.exec(words.content);
      if (!box) continue;
      words.content = words.content.slice(box[0].length);
      item.attrSet("class", box[1] === " " ? "task" : "task-done");
    }
  });
}
