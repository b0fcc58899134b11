/* deflate_zlib.h - how zlib is used by both directions: its memory is ours, and zeroed, so that no
 * byte that was never written can get into what is sent. For src/proto/deflate*.c alone. */
#ifndef CREW_PROTO_DEFLATE_ZLIB_H
#define CREW_PROTO_DEFLATE_ZLIB_H

#include <stdlib.h>
#include <zlib.h>

/* A stream that allocates so; before deflateInit2 and inflateInit2. */
void crew__zlib_init(z_stream *z);

#endif
