"""From a corpus's name to batches of tokens.

Belongs here: corpora, tokenizers, the cache of tokenized corpora, the order of batches.
Does not: which corpus a run reads (`config`), and sharding over devices (`train`).
"""

from scaling_jax.api import public_names
from scaling_jax.data.batches import Batches as Batches
from scaling_jax.data.batches import held_out_windows as held_out_windows
from scaling_jax.data.cache import TokenCache as TokenCache
from scaling_jax.data.cache import prepare as prepare
from scaling_jax.data.cache import prepare_set as prepare_set
from scaling_jax.data.corpus import Corpus as Corpus
from scaling_jax.data.corpus_check import CorpusCheck as CorpusCheck
from scaling_jax.data.corpus_check import check_corpus as check_corpus
from scaling_jax.data.entropy import entropy as entropy
from scaling_jax.data.place import place as place
from scaling_jax.data.questions_in_text import questions_in_text as questions_in_text
from scaling_jax.data.registry import load_corpus as load_corpus
from scaling_jax.data.split import HELD_OUT_FRACTION as HELD_OUT_FRACTION
from scaling_jax.data.split import shared_documents as shared_documents
from scaling_jax.data.tokenizer import Tokenizer as Tokenizer
from scaling_jax.data.tokenizer import load_tokenizer as load_tokenizer
from scaling_jax.data.tokenizer import tokens_below as tokens_below
from scaling_jax.data.tokenizer_check import TokenizerCheck as TokenizerCheck
from scaling_jax.data.tokenizer_check import check_tokenizer as check_tokenizer
from scaling_jax.data.tokenizer_training import train_bpe as train_bpe
from scaling_jax.data.tokenizer_training import train_sentencepiece as train_sentencepiece
from scaling_jax.data.tokenizer_training import train_tokenizer as train_tokenizer


def __dir__() -> list[str]:
    return public_names(globals())
