export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
PS1='\h:\w# '
