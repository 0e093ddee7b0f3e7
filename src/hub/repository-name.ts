import { ValidationError } from "../errors.js";

/** A model on the Hub, at one of its revisions. */
export interface RepositoryName {
  /** `org/name`; a few old ones have no organisation. */
  repository: string;
  /** A branch, a tag or a commit. */
  revision: string;
}

const NAME = /^((?:\w[\w.-]{0,95}\/)?\w[\w.-]{0,95})(?:@(\w[\w./-]{0,254}))?$/;

/**
 * Reads `org/name` or `org/name@revision`.
 * @example parseRepositoryName("org/tiny@v2") // { repository: "org/tiny", revision: "v2" }
 */
export function parseRepositoryName(name: string): RepositoryName {
  const [, repository, revision = "main"] = NAME.exec(name) ?? [];
  // In the cache "--" stands for the slash, and the Hub allows neither in names.
  const isUsable = repository && !/--|\.\.|\.git$/.test(repository);
  const parts = revision.split("/");
  if (isUsable && parts.every((part) => part !== "" && !/^\.|\.lock$|\.\./.test(part))) {
    return { repository, revision };
  }
  throw new ValidationError(`"${name}" is not the name of a model on the Hub.`, {
    model: name,
    hint: 'Write it as "org/name" or "org/name@revision".',
  });
}

/** The folder of a repository in the Hugging Face cache. */
export function repositoryFolder(repository: string): string {
  return `models--${repository.replace("/", "--")}`;
}
