#include <stdio.h>
#include "nissl/context.h"
int main(void)
{
    puts(nissl_status_text(NISSL_OK));
    return 0;
}
