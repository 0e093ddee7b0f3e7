import * as draft7 from "ajv";
import * as draft2020 from "ajv/dist/2020.js";
import * as formats from "ajv-formats";

export const { Ajv } = draft7;
export const { Ajv2020 } = draft2020;
/** Its types cannot say that an ES module gets it as the default. */
export const addFormats = formats.default as unknown as (checker: draft7.Ajv) => void;
