/** An id of 26 characters, 130 random bits; also where `crypto.randomUUID` is missing (plain http). */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(26));
  return Array.from(bytes, (byte) => "0123456789abcdefghjkmnpqrstvwxyz"[byte & 31]).join("");
}
