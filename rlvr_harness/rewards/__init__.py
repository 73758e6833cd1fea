"""The verifier that judges evaluations, as the reward of a training run: in process, as a file, over HTTP."""
