// Labels, numbers and rules in words. Pure.

export const MEGABYTE = 2 ** 20;

export function plain(text) {
  return text.replaceAll("_", " ");
}

export function inWords(label) {
  const words = plain(label).trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function either(labels) {
  const words = labels.map(plain);
  return [words.slice(0, -1).join(", "), words.at(-1)].filter(Boolean).join(" or ");
}

export function inPercent(share) {
  const percent = 100 * share;
  if (percent > 0 && percent < 0.05) return "< 0.1\u00a0%";
  if (percent < 100 && percent >= 99.95) return "> 99.9\u00a0%";
  return `${percent.toFixed(1)}\u00a0%`;
}

/** A number to two digits behind the point at most: a DICOM file's own window may have fractions. */
export function inHundredths(value) {
  return String(Number(Number(value).toFixed(2)));
}

export function inBytes(bytes) {
  return bytes < MEGABYTE ? `${Math.max(1, Math.round(bytes / 1024))} kB` : `${(bytes / MEGABYTE).toFixed(1)} MB`;
}

/** An ISO 8601 instant in the reader's own manner and time zone. */
export function inTime(instant) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" }).format(new Date(instant));
}

export function sentence(text) {
  const words = text.replaceAll("`", "").trim();
  if (words === "") return "";
  const isName = /^\S*[._/]\S/.test(words); // of a file or a metric: stays as it is written
  return (isName ? words.charAt(0) : words.charAt(0).toUpperCase()) + words.slice(1) + (/[.?!]$/.test(words) ? "" : ".");
}

export function counted(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

// What each state of an answer is called, says and advises.
const VERDICTS = {
  answer: ({ label }) => ({ eyebrow: "Answer", heading: inWords(label) }),
  abstained: ({ prediction_set }) => ({
    eyebrow: "No answer: too close to call",
    heading: `Could be ${either(prediction_set)}`,
    advice: "A person should look at this image.",
  }),
  refused: () => ({
    eyebrow: "No answer: another kind of image",
    heading: "This does not look like the images this model knows",
    advice: "What it would say of such an image means nothing, so it says nothing. Is this the right file?",
  }),
};

/** The eyebrow, heading and advice of an answer. */
export function verdict(answer) {
  return { advice: "", ...VERDICTS[answer.state](answer) };
}

/** What else an answered image could be; empty if nothing else. */
export function alternatives(answer) {
  const others = answer.prediction_set.filter((label) => label !== answer.label);
  return answer.state === "answer" && others.length > 0 ? `Could also be ${either(others)}.` : "";
}

const ABSTAINS = {
  never: "It always answers.",
  undecided: "It gives no answer where the set holds classes on both sides of that threshold.",
  ambiguous: "It gives no answer where that set holds several classes.",
};

/** How a model comes from probabilities to an answer: a sentence a rule, in the order of use. */
export function decisionInWords(decision) {
  const { temperature, outliers, operating, conformal, abstain } = decision;
  return [
    temperature === 1 ? "" : `Probabilities are calibrated with a temperature of ${temperature.toFixed(2)}.`,
    outliers ? `Refuses images whose distance from its training images is above ${outliers.threshold.toFixed(2)}.` : "",
    operating
      ? `Answers ${either(operating.positive)} where their probabilities add up to ${inPercent(operating.threshold)} or more.`
      : "Answers the most probable class.",
    conformal ? `Names a set of classes made to hold the truth in ${inPercent(conformal.coverage)} of cases.` : "",
    abstain === "never" && outliers ? "It answers for every other image." : ABSTAINS[abstain],
  ].filter(Boolean);
}

/** What a model makes of a picture before it looks. */
export function preprocessingInWords({ image_size: size, channels, body_crop, contrast }) {
  const steps = [
    body_crop ? "cut to the body" : "",
    channels === "grey" ? "made grey" : "",
    contrast ? `contrast stretched between percentiles ${contrast[0]} and ${contrast[1]}` : "",
    `scaled to ${size} × ${size} pixels`,
  ];
  return sentence(steps.filter(Boolean).join(", "));
}

/** How often readers agree with a model's answers: what they said, and what that does not count. */
export function agreementInWords({ agreed, judged, without_answer, low, high }) {
  const others = without_answer ? ` ${counted(without_answer, "more label is", "more labels are")} of images that it gave no answer for.` : "";
  if (judged === 0) return ["No reader has labelled an answer of this version yet.", others.trim()];
  const interval = `${inPercent(low)} to ${inPercent(high)}`;
  const said = `Readers agree with ${agreed} of ${counted(judged, "answer")}: ${inPercent(agreed / judged)} (95 % interval ${interval}).`;
  return [said, `Of the answers that readers chose to label, which need not be like the others.${others}`];
}
