"""Log-likelihoods from a real vLLM are those of transformers, at temperature 1 and without the end token."""

import pytest

from rlvr_harness import EntropyModel, SamplingLaw, ScoringModel, TextPair


def test_vllm_scores_texts_as_transformers_does(open_vllm, open_model, checkpoint, puzzle, request_for):
    problems = [puzzle(number) for number in range(12)]
    law = SamplingLaw(temperature=1.0, top_p=1.0, max_gen_toks=24)
    plain = open_model(checkpoint(1))
    samples = plain.sample(tuple(request_for(problem, range(4)) for problem in problems), law)
    prompts = {problem.problem_id: problem.prompt for problem in problems}
    pairs = [TextPair(prompts[sample.problem_id], sample.text) for sample in samples]
    pairs += [TextPair(problems[0].prompt, ""), TextPair(problems[0].prompt, "1 + 2 = 3" * 80)]
    wanted = dict(plain.score(pairs))
    opened = open_vllm(checkpoint(1))
    try:
        assert isinstance(opened, ScoringModel)
        assert not isinstance(opened, EntropyModel)
        found = dict(opened.score(pairs))
    finally:
        opened.close()
    assert sorted(found) == list(range(len(pairs)))
    for place, score in wanted.items():
        assert found[place].n_tokens == score.n_tokens
        assert found[place].logprob_sum == pytest.approx(score.logprob_sum, abs=2e-3) or score.logprob_sum is None
    assert found[len(pairs) - 1].logprob_sum is None
