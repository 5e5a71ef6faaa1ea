/* The bert-base-uncased vocabulary, one token a line: from glip_vocab_data up to glip_vocab_end. */
#ifndef GLIP_TOOLS_VOCAB_DATA_H
#define GLIP_TOOLS_VOCAB_DATA_H

extern const char glip_vocab_data[], glip_vocab_end[];

#endif
