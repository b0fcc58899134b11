/* table4.c - table2.c, but it dies when it is asked for its plan. */
#define VARIANT 4
#define BROKEN
#include "table.c"
