/* table2.c - the next version of table.c: a service has gone, one has another name, one is new, and
 * they stand in another order. */
#define VARIANT 2
#include "table.c"
