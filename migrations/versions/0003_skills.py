"""skills: the imported catalogue with its labels and vectors, and the skills found in profiles."""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('skill_catalogue',
    sa.Column('scheme', sa.String(length=20), nullable=False),
    sa.Column('version', sa.String(length=40), nullable=False),
    sa.Column('languages', sa.JSON(), nullable=False),
    sa.Column('model_key', sa.String(length=120), nullable=False),
    sa.Column('stamp', sa.String(length=32), nullable=False),
    sa.Column('imported_at', sa.DateTime(), nullable=False),
    sa.PrimaryKeyConstraint('scheme', name=op.f('pk_skill_catalogue'))
    )
    op.create_table('skill',
    sa.Column('pk', sa.Integer(), nullable=False),
    sa.Column('uri', sa.String(length=120), nullable=False),
    sa.Column('version', sa.String(length=40), nullable=False),
    sa.Column('status', sa.String(length=20), nullable=False),
    sa.Column('description', sa.String(), nullable=False),
    sa.PrimaryKeyConstraint('pk', name=op.f('pk_skill')),
    sa.UniqueConstraint('uri', name=op.f('uq_skill_uri'))
    )
    op.create_table('skill_label',
    sa.Column('skill_pk', sa.Integer(), nullable=False),
    sa.Column('language', sa.String(length=12), nullable=False),
    sa.Column('preferred', sa.String(), nullable=False),
    sa.Column('alternatives', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['skill_pk'], ['skill.pk'], name=op.f('fk_skill_label_skill_pk_skill'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('skill_pk', 'language', name=op.f('pk_skill_label'))
    )
    op.create_table('skill_vectors',
    sa.Column('skill_pk', sa.Integer(), nullable=False),
    sa.Column('model_key', sa.String(length=120), nullable=False),
    sa.Column('content_hash', sa.String(length=32), nullable=False),
    sa.Column('preferred', sa.LargeBinary(), nullable=False),
    sa.Column('alternatives', sa.LargeBinary(), nullable=False),
    sa.Column('description', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['skill_pk'], ['skill.pk'], name=op.f('fk_skill_vectors_skill_pk_skill'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('skill_pk', name=op.f('pk_skill_vectors'))
    )
    op.create_table('profile_skill',
    sa.Column('profile_pk', sa.Integer(), nullable=False),
    sa.Column('uri', sa.String(length=120), nullable=False),
    sa.Column('field', sa.String(length=20), nullable=False),
    sa.Column('start', sa.Integer(), nullable=False),
    sa.Column('end', sa.Integer(), nullable=False),
    sa.Column('similarity', sa.Float(), nullable=False),
    sa.Column('found_by', sa.String(length=20), nullable=False),
    sa.ForeignKeyConstraint(['profile_pk'], ['profile.pk'], name=op.f('fk_profile_skill_profile_pk_profile'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('profile_pk', 'uri', name=op.f('pk_profile_skill'))
    )
    with op.batch_alter_table('profile_skill') as batch_op:
        batch_op.create_index('ix_profile_skill_uri', ['uri', 'profile_pk'], unique=False)
    op.create_table('skill_reading',
    sa.Column('profile_pk', sa.Integer(), nullable=False),
    sa.Column('stamp', sa.String(length=80), nullable=False),
    sa.ForeignKeyConstraint(['profile_pk'], ['profile.pk'], name=op.f('fk_skill_reading_profile_pk_profile'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('profile_pk', name=op.f('pk_skill_reading'))
    )


def downgrade():
    op.drop_table('skill_reading')
    with op.batch_alter_table('profile_skill') as batch_op:
        batch_op.drop_index('ix_profile_skill_uri')
    op.drop_table('profile_skill')
    op.drop_table('skill_vectors')
    op.drop_table('skill_label')
    op.drop_table('skill')
    op.drop_table('skill_catalogue')
