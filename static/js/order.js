/*
  Least sure first: what the model was least sure of and nobody has reviewed, then the others in
  their order. Only the order on the screen changes, never that of the document: a run goes on below
  the last segment, and an open card keeps its caret and its Undo.
*/
import { $ } from './dom.js';

export const UNREVIEWED = new Set(['untouched', 'new']);
const LAST = 1; // Behind every logarithm of a probability.

/** What a segment is sorted by; an open card counts as its segment, a new one as its neighbour. */
function rankOf(segment) {
  const { insertion } = segment.dataset;
  const { state, was, certainty } = (insertion && document.getElementById(`s${insertion.match(/\d+$/)}`) || segment).dataset;
  return certainty && UNREVIEWED.has(state === 'editing' ? was : state) ? Number(certainty) : LAST;
}

/** Where a segment stands, to go on from there when it has a verdict and stands elsewhere. */
export const placeOf = (segment) => ({ rank: rankOf(segment), number: Number(segment.dataset.number) });

/** The first of the segments, least sure first, that stands behind a place. */
export function firstBehind(place, segments) {
  return segments.map((segment) => [segment, placeOf(segment)])
    .find(([, { rank, number }]) => rank > place.rank || (rank === place.rank && number > place.number))?.[0];
}

/** The segments, given in the order of the text, least sure first. */
export function leastSureFirst(segments) {
  const ranks = new Map(segments.map((segment) => [segment, rankOf(segment)]));
  return [...segments].sort((one, other) => ranks.get(one) - ranks.get(other));
}

/** Show them in this order, between the bar of the run and the text being written; null: as they stand. */
export function arrange(list, segments) {
  for (const each of list.children) each.style.order = '';
  segments?.forEach((segment, at) => { segment.style.order = at + 1; });
  const writing = $('#writing', list);
  if (segments && writing) writing.style.order = segments.length + 1;
}
