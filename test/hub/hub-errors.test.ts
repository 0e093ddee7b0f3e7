import { errorOfRefusal } from "../../src/hub/hub-errors.js";

const question = { repository: "org/tiny", revision: "main", endpoint: "https://hub.example" };

test.each([429, 503])("status %d is waited for as long as the Hub says", (status) => {
  const refusal = { status, headers: { "retry-after": "7" }, text: "", isOfHub: true };
  expect(errorOfRefusal(refusal, question)).toMatchObject({ retryable: true, retryAfter: 7 });
});
