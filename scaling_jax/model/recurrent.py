"""The recurrent transformer, which applies its blocks several times."""

import jax

from scaling_jax.model.transformer import Transformer


class RecurrentTransformer(Transformer):
    """A transformer whose blocks are applied `passes` times, one after another, to every token.

    With one block it is the Universal transformer (Dehghani et al. 2018, 1807.03819) with a fixed
    number of passes, as Kaplan et al. 2020 (appendix D.2) compare it. A pass has no embedding of
    its number.
    """

    def _run_blocks(
        self, x_NxD: jax.Array, seq_len: int, key_B: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array | None]:
        run = super()._run_blocks
        if not self.scan_layers:
            balances = []
            for _ in range(self.shape.passes):
                x_NxD, balance = run(x_NxD, seq_len, key_B)
                balances.append(balance)
            return x_NxD, _mean(balances)

        def one_pass(x_NxD: jax.Array, _: None) -> tuple[jax.Array, jax.Array | None]:
            return run(x_NxD, seq_len, key_B)

        x_NxD, balance_P = jax.lax.scan(one_pass, x_NxD, length=self.shape.passes)
        return x_NxD, None if balance_P is None else balance_P.mean()


def _mean(balances: list[jax.Array | None]) -> jax.Array | None:
    known = [balance for balance in balances if balance is not None]
    return sum(known[1:], known[0]) / len(known) if known else None
